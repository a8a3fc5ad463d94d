from __future__ import annotations

import dataclasses
import re

import pytest

from contracts.errors import Defect
from contracts.facts import CATALOGUE
from contracts.identifiers import ORGANIZATION_PATTERN
from contracts.topology import EVENT_QUEUES
from services.delivery.domain.recipients import (
    CLOSINGS,
    COORDINATED,
    COORDINATORS,
    RECIPIENTS,
    recipients_of,
)

ORG, SENDER = "ru.moscow-migrant-support", "kg.osh-legal-aid"


def arriving() -> set[str]:
    """The types that the queue of events is bound to, and what audit sends there by the queue's name."""
    keys = (*EVENT_QUEUES["delivery.events"], "receipts.issued", "receipt.issued")
    return {
        fact.type
        for fact in CATALOGUE.values()
        if fact.routing_key in keys or f"{fact.routing_key.partition('.')[0]}.*" in keys
    }


def test_every_fact_that_arrives_has_recipients_and_no_other_has() -> None:
    assert set(RECIPIENTS) == arriving()


@pytest.mark.parametrize("name", RECIPIENTS)
def test_the_fields_exist_in_the_fact(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(CATALOGUE[name])}  # type: ignore[arg-type]
    assert fields >= set(RECIPIENTS[name])


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ("offer.opened", {ORG}),
        ("offer.accepted", {ORG, SENDER}),
        ("offer.declined", {SENDER}),
        ("offer.expired", {ORG, SENDER}),
        ("offer.revoked", {ORG}),
        ("answer.refused", {ORG}),
        ("submission.refused", {ORG}),
        ("case.refused", {ORG}),
        ("referral.unplaced", {SENDER, COORDINATORS}),
        ("referral.progressed", {ORG, SENDER}),
        ("referral.completed", {ORG, SENDER}),
        ("referral.withdrawn", {ORG, SENDER}),
        ("referral.failed", {ORG, SENDER}),
        ("referral.overdue", {ORG, SENDER, COORDINATORS}),
        ("placement.refused", {COORDINATORS}),
        ("placement.answered", {COORDINATORS}),
        ("referral.acceptor_suspended", {SENDER, COORDINATORS}),
        ("receipts.issued", {ORG}),
        ("receipt.issued", {ORG}),
    ],
)
def test_who_is_told(fact: str, expected: set[str]) -> None:
    data = {"organization": ORG, "sender": SENDER, "reason": "accepted_elsewhere"}
    told = recipients_of(f"kopuro.{fact}.v1", data)
    assert (set(told), len(told)) == (expected, len(expected))


def test_offer_revoked_after_suspension_goes_to_coordinators_too() -> None:
    data = {"organization": ORG, "sender": SENDER, "reason": "organization_suspended"}
    assert set(recipients_of("kopuro.offer.revoked.v1", data)) == {ORG, COORDINATORS}


def test_no_organization_can_have_the_coordinators_mailbox() -> None:
    assert re.fullmatch(ORGANIZATION_PATTERN, COORDINATORS) is None


def test_nobody_is_told_twice_and_no_one_is_made_up() -> None:
    withdrawn = "kopuro.referral.withdrawn.v1"
    assert recipients_of(withdrawn, {"organization": None, "sender": SENDER}) == (SENDER,)
    assert recipients_of(withdrawn, {"organization": SENDER, "sender": SENDER}) == (SENDER,)


def test_a_fact_without_a_place_in_the_table_is_no_silence() -> None:
    with pytest.raises(Defect):
        recipients_of("kopuro.offer.opened.v2", {"organization": ORG})


def test_no_organization_can_be_called_like_the_coordinators_mailbox() -> None:
    assert re.fullmatch(ORGANIZATION_PATTERN, COORDINATORS) is None


def test_every_fact_told_to_coordinators_arrives() -> None:
    assert set(RECIPIENTS) >= COORDINATED.keys()


def test_every_closing_is_told() -> None:
    assert set(RECIPIENTS) >= CLOSINGS
