"""Sample responses of a hub, as documented for its API. The people and organisations are invented."""

from __future__ import annotations

from typing import Any

REFERRAL: dict[str, Any] = {
    "id": "0199a0de-0000-7000-8000-000000000001",
    "sender": "kg.osh-legal-aid",
    "status": "completed",
    "acceptor": "ru.moscow-union",
    "outcome": "resolved",
    "submitted_at": "2026-05-01T09:00:00.123456Z",
    "updated_at": "2026-05-02T10:00:00Z",
    "facts": {"needs": ["legal.wage_claim"], "urgency": "urgent", "region": "RU-MOW", "languages": ["ky"]},
    "offers": [
        {
            "id": "0199a0de-0000-7000-8000-00000000000a",
            "organization": "ru.moscow-centre",
            "state": "declined",
            "opened_at": "2026-05-01T09:00:01Z",
            "deadline": "2026-05-02T09:00:01Z",
            "rank": 1,
            "reason": "no_capacity",
        },
        {
            "id": "0199a0de-0000-7000-8000-00000000000b",
            "organization": "ru.moscow-union",
            "state": "accepted",
            "opened_at": "2026-05-01T12:00:00Z",
            "deadline": "2026-05-02T12:00:00Z",
            "rank": 2,
            "reason": None,
        },
    ],
    "timeline": [
        {
            "time": "2026-05-01T09:00:00Z",
            "fact": "referral.submitted",
            "organization": "kg.osh-legal-aid",
            "detail": {},
        },
        {
            "time": "2026-05-01T12:00:00Z",
            "fact": "offer.declined",
            "organization": "ru.moscow-centre",
            "detail": {"reason": "no_capacity"},
        },
        {
            "time": "2026-05-02T10:00:00Z",
            "fact": "referral.completed",
            "organization": "ru.moscow-union",
            "detail": {"outcome": "resolved"},
        },
    ],
}

SUMMARY: dict[str, Any] = {
    "id": REFERRAL["id"],
    "sender": "kg.osh-legal-aid",
    "status": "offered",
    "acceptor": None,
    "urgency": "urgent",
    "region": "RU-MOW",
    "needs": ["legal.wage_claim", "shelter"],
    "submitted_at": "2026-05-01T09:00:00Z",
    "updated_at": "2026-05-01T09:00:01Z",
}

OFFER_OPENED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "0199a0de-0000-7000-8000-0000000000f1",
    "source": "kopuro://kg/routing",
    "type": "kopuro.offer.opened.v1",
    "time": "2026-05-01T09:00:01Z",
    "partitionkey": REFERRAL["id"],
    "data": {
        "offer_id": "0199a0de-0000-7000-8000-00000000000a",
        "referral_id": REFERRAL["id"],
        "organization": "ru.moscow-centre",
        "sender": "kg.osh-legal-aid",
        "rank": 1,
        "opened_at": "2026-05-01T09:00:01Z",
        "deadline": "2026-05-02T09:00:01Z",
        "facts": {"needs": ["legal.wage_claim"], "urgency": "urgent", "region": "RU-MOW"},
    },
}

DECISIONS: dict[str, Any] = {
    "referral_id": REFERRAL["id"],
    "decisions": [
        {
            "id": "0199a0de-0000-7000-8000-0000000000d1",
            "decided_at": "2026-05-01T09:00:01Z",
            "trigger": "submitted",
            "policy_version": "2026-01",
            "directory_version": "417",
            "candidates": [
                {
                    "organization": "ru.consulate",
                    "service": "consular",
                    "eligible": False,
                    "score": None,
                    "rank": None,
                    "rules": [
                        {
                            "rule": "kind_consented",
                            "passed": False,
                            "reason": "kind_not_opted_in",
                            "detail": {"kind": "consular_representative"},
                        },
                        {"rule": "organization_vetted", "passed": True, "reason": None, "detail": {}},
                    ],
                    "contributions": [],
                },
                {
                    "organization": "ru.moscow-union",
                    "service": "wages",
                    "eligible": True,
                    "score": 0.8125,
                    "rank": 1,
                    "rules": [{"rule": "organization_vetted", "passed": True, "reason": None, "detail": {}}],
                    "contributions": [
                        {"name": "nearness", "weight": 0.3, "value": 1.0},
                        {"name": "language", "value": 0.25},
                    ],
                },
            ],
        }
    ],
}
