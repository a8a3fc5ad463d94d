from __future__ import annotations

import dataclasses
import re

import pytest

from contracts.errors import Defect
from contracts.facts import CATALOGUE, ReferralUnanswered
from contracts.identifiers import ORGANIZATION_PATTERN
from contracts.topology import EVENT_QUEUES
from services.delivery.domain.closing import CARRIERS
from services.delivery.domain.recipients import (
    COORDINATED,
    COORDINATORS,
    RECIPIENTS,
    recipients_of,
)

ORG, SENDER = "ru.moscow-migrant-support", "kg.osh-legal-aid"


def arriving_types() -> set[str]:
    """Return the fact types bound to delivery.events, and those that audit sends to the queue directly."""
    keys = (*EVENT_QUEUES["delivery.events"], "receipts.issued", "receipt.issued")
    return {
        fact.type
        for fact in CATALOGUE.values()
        if fact.routing_key in keys or f"{fact.routing_key.partition('.')[0]}.*" in keys
    }


def test_exactly_arriving_facts_have_recipients() -> None:
    assert set(RECIPIENTS) == arriving_types()


@pytest.mark.parametrize("name", RECIPIENTS)
def test_recipient_fields_exist_in_fact(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(CATALOGUE[name])}  # type: ignore[arg-type]
    assert fields >= set(RECIPIENTS[name])


# The names of fields that say something about a person. Notes arrive from the vault, by another queue.
ABOUT_A_PERSON = {"facts", "need", "needs", "region", "urgency"}
# Its type says that the referral is an emergency.
BY_TYPE = {ReferralUnanswered.type}


@pytest.mark.parametrize("name", RECIPIENTS)
def test_message_about_a_person_is_closed_at_the_end(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(CATALOGUE[name])}  # type: ignore[arg-type]
    assert (bool(fields & ABOUT_A_PERSON) or name in BY_TYPE) == (name in CARRIERS)


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
        ("referral.unanswered", {COORDINATORS}),
        ("alert.closed", set()),
        ("application.decided", set()),
        ("coordination.digest", {COORDINATORS}),
        ("placement.refused", {COORDINATORS}),
        ("placement.answered", {COORDINATORS}),
        ("coordinator_withdrawal.refused", {COORDINATORS}),
        ("referral.acceptor_suspended", {SENDER, COORDINATORS}),
        ("acceptance.revoked", {SENDER, ORG, COORDINATORS}),
        ("credential.issued", {ORG}),
        ("credential.revoked", {ORG}),
        ("credential.tokens_revoked", {ORG}),
        ("credential.expiring", {ORG}),
        ("approval.requested", {ORG}),
        ("approval.endorsed", {ORG}),
        ("approval.granted", {ORG}),
        ("approval.refused", {ORG}),
        ("sealing_key.replaced", {ORG, COORDINATORS}),
        ("service_approval.ended", {ORG, COORDINATORS}),
        ("receipts.issued", {ORG}),
        ("receipt.issued", {ORG}),
    ],
)
def test_fact_goes_to_its_recipients(fact: str, expected: set[str]) -> None:
    data = {"organization": ORG, "sender": SENDER, "reason": "accepted_elsewhere"}
    recipients = recipients_of(f"kopuro.{fact}.v1", data)
    assert (set(recipients), len(recipients)) == (expected, len(expected))


@pytest.mark.parametrize("reason", ["organization_suspended", "approval_ended"])
def test_offer_that_a_suspension_or_the_end_of_an_approval_revokes_goes_to_coordinators_too(
    reason: str,
) -> None:
    data = {"organization": ORG, "sender": SENDER, "reason": reason}
    assert set(recipients_of("kopuro.offer.revoked.v1", data)) == {ORG, COORDINATORS}


@pytest.mark.parametrize("fact", ["employer.report_retracted", "employer.replied"])
def test_fact_about_an_employer_goes_to_each_recipient_of_the_reports(fact: str) -> None:
    data = {"recipients": [ORG, SENDER, ORG]}
    assert recipients_of(f"kopuro.{fact}.v1", data) == (ORG, SENDER)


def test_organization_id_cannot_equal_coordinators_mailbox() -> None:
    assert re.fullmatch(ORGANIZATION_PATTERN, COORDINATORS) is None


def test_missing_or_equal_recipients_are_counted_once() -> None:
    withdrawn = "kopuro.referral.withdrawn.v1"
    assert recipients_of(withdrawn, {"organization": None, "sender": SENDER}) == (SENDER,)
    assert recipients_of(withdrawn, {"organization": SENDER, "sender": SENDER}) == (SENDER,)


@pytest.mark.parametrize(
    "fact", ["credential.issued", "credential.revoked", "approval.requested", "approval.granted"]
)
def test_notice_about_a_member_of_the_staff_goes_to_no_mailbox(fact: str) -> None:
    assert recipients_of(f"kopuro.{fact}.v1", {"organization": None, "by": "kg.operator"}) == ()


def test_fact_missing_in_table_raises() -> None:
    with pytest.raises(Defect):
        recipients_of("kopuro.offer.opened.v2", {"organization": ORG})


def test_coordinators_facts_arrive_at_delivery() -> None:
    assert set(RECIPIENTS) >= COORDINATED.keys()
