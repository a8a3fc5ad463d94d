"""Entries of the log that mailboxes receive, compared with the mailboxes that have them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from admin.reconciliation.mailbox_differences import undelivered_messages
from admin.reconciliation.mailbox_states import logged_message
from contracts.facts import OfferOpened, PlacementAnswered, ReferralUnanswered, ReferralUnplaced
from services.audit.log.ports import OpenedLeaf
from services.delivery.domain.recipients import RECIPIENTS, recipients_of, recipients_of_any

MESSAGE, REFERRAL = "01930f6e-61b4-7f52-9d03-5c7e8a1b2c02", "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"


def erased(type: str) -> OpenedLeaf:
    """Return an entry of format 1 whose content is erased."""
    said: dict[str, Any] = {
        "actor": "/kg/routing",
        "commitment": "sha256:" + "0a" * 32,
        "format": 1,
        "hub": "kg",
        "message_id": MESSAGE,
        "organization": None,
        "referral_id": REFERRAL,
        "time": "2026-03-01T09:30:00Z",
        "type": type,
    }
    leaf = json.dumps(said, separators=(",", ":"), sort_keys=True).encode()
    return OpenedLeaf(index=7, leaf=leaf, head=None, salt=None, data=None)


@pytest.mark.parametrize(
    ("type", "is_missing"),
    [
        # The coordinators got a number instead, and nobody else gets it.
        (ReferralUnanswered.type, False),
        # The sender gets it singly; each result of a placement comes as it is.
        (ReferralUnplaced.type, True),
        (PlacementAnswered.type, True),
        (OfferOpened.type, True),
    ],
)
def test_counted_alert_is_not_missing_once_its_content_is_erased(type: str, is_missing: bool) -> None:
    entry = logged_message(erased(type))
    assert [one.referral_id for one in undelivered_messages([entry], {})] == [REFERRAL] * is_missing


@pytest.mark.parametrize("type", RECIPIENTS)
def test_mailboxes_known_by_the_type_are_those_of_every_content(type: str) -> None:
    known = recipients_of_any(type)
    assert (known is None) == bool(RECIPIENTS[type])
    for reason in ("organization_suspended", "other"):
        assert known is None or known == frozenset(recipients_of(type, {"reason": reason}))
