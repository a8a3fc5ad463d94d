"""Evidence about a referral in each state, as its sender, a candidate or staff would gather it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from kopuro_client.records import AdmittedSubmission, MessageState, Offer, Referral
from kopuro_client.tracing.evidence import Logged, TraceRecords

REFERRAL = "0199a0de-0000-7000-8000-000000000001"
OFFER = "0199a0de-0000-7000-8000-00000000000a"
SUBMISSION = "0199a0de-0000-7000-8000-0000000000b1"
MESSAGE = "0199a0de-0000-7000-8000-0000000000f1"
SENDER, CANDIDATE, OTHER = "kg.osh-legal-aid", "ru.moscow-union", "ru.moscow-centre"
STAFF = None

START = dt.datetime(2026, 5, 1, 9, 0, tzinfo=dt.UTC)


def at(minutes: float) -> str:
    """The RFC 3339 time that many minutes after the start."""
    moment = START + dt.timedelta(minutes=minutes)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def step(fact: str, minutes: float, organization: str | None = None, **detail: Any) -> Any:
    return {"time": at(minutes), "fact": fact, "organization": organization, "detail": detail}


def offer(
    state: str = "open",
    organization: str = CANDIDATE,
    *,
    opened: float = 1,
    due: float = 60,
    closed: float | None = None,
) -> Offer:
    return {
        "id": OFFER,
        "organization": organization,
        "state": state,
        "opened_at": at(opened),
        "deadline": at(due),
        "closed_at": None if closed is None else at(closed),
        "rank": 1,
        "reason": None,
    }


def referral(status: str, *offers: Offer, timeline: tuple[Any, ...] = (), **members: Any) -> Referral:
    whole: Any = {
        "id": REFERRAL,
        "sender": SENDER,
        "status": status,
        "acceptor": None,
        "outcome": None,
        "submitted_at": at(0),
        "updated_at": at(2),
        "facts": None,
        "offers": list(offers),
        "timeline": [step("referral.submitted", 0, SENDER), *timeline],
        **members,
    }
    return whole  # type: ignore[no-any-return]


def submission(
    fact: str = "referral.submitted", minutes: float = 0, *, published: bool = True, by: str = SENDER
) -> AdmittedSubmission:
    return {
        "id": REFERRAL if fact == "referral.submitted" else SUBMISSION,
        "referral_id": REFERRAL,
        "organization": by,
        "fact": fact,
        "admitted_at": at(minutes),
        "published": published,
        "own": True,
    }


def message(
    fact: str,
    state: str = "queued",
    minutes: float = 2,
    organization: str | None = CANDIDATE,
    **members: Any,
) -> MessageState:
    whole: Any = {
        "message_id": MESSAGE,
        "type": f"kopuro.{fact}.v1",
        "referral_id": REFERRAL,
        "organization": organization,
        "offer_id": OFFER if fact == "offer.opened" else None,
        "state": state,
        "queued_at": at(minutes),
        "delivered_at": at(minutes + 1) if state != "queued" else None,
        "acknowledged_at": at(minutes + 2) if state == "acknowledged" else None,
        "closed_at": None,
        "own": True,
        "webhooks": [],
        **members,
    }
    return whole  # type: ignore[no-any-return]


def logged(fact: str, minutes: float, index: int = 7) -> Logged:
    return Logged(
        index=index, time=START + dt.timedelta(minutes=minutes), fact=fact, sentence=f"The entry {index}."
    )


def evidence(viewer: str | None, found: Referral | None, *, minutes: float = 5, **known: Any) -> TraceRecords:
    """What is known `minutes` after the start."""
    return TraceRecords(viewer=viewer, now=START + dt.timedelta(minutes=minutes), referral=found, **known)
