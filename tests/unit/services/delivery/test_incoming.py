from __future__ import annotations

import orjson
import pytest

from contracts.codes import Outcome
from contracts.envelope import decode
from contracts.errors import Refused
from contracts.facts import (
    CaseReleased,
    Fact,
    NoteDelivered,
    OfferAccepted,
    ReferralCompleted,
    ReferralFailed,
)
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    OFFER,
    REFERRAL,
    SEALED,
    SENDER,
    STRANGER,
    Workbench,
    declined,
    event,
    opened,
    released_case,
    released_note,
    withdrawn,
)


def test_mailbox_returns_message_byte_for_byte(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    page = bench.partner.page(ACCEPTOR, after=0, limit=10, wait=0)
    assert page.bodies == [offer.encode()]
    assert bench.mailbox(SENDER) == []


def test_fact_for_both_parties_is_in_both_mailboxes(bench: Workbench) -> None:
    accepted = event(
        OfferAccepted(referral_id=REFERRAL, offer_id=OFFER, organization=ACCEPTOR, sender=SENDER)
    )
    bench.receive(accepted)
    bench.mailbox(SENDER)
    bench.partner.acknowledge(SENDER, accepted.id)
    assert bench.mailbox(SENDER) == []
    assert [message["id"] for message in bench.mailbox(ACCEPTOR)] == [accepted.id]


def test_redelivered_message_is_appended_once(bench: Workbench) -> None:
    offer, message = opened(), released_case()
    bench.receive(offer, offer, message)
    bench.receive(offer, message, message)
    assert [m["id"] for m in bench.mailbox(ACCEPTOR)] == [offer.id, message.id]


def test_mailbox_keeps_arrival_order(bench: Workbench) -> None:
    offers = [opened() for _ in range(30)]
    bench.receive(*offers[:17])
    bench.receive(*offers[17:])
    assert [m["id"] for m in bench.mailbox(ACCEPTOR)] == [offer.id for offer in offers]


def test_released_case_is_announced_and_readable_by_acceptor_only(bench: Workbench) -> None:
    message = released_case()
    bench.receive(message)
    (notice,) = bench.partner.page(ACCEPTOR, after=0, limit=10, wait=0).bodies
    event = decode(notice)
    assert (event.id, event.source, event.correlation_id) == (
        message.id,
        message.source,
        message.correlation_id,
    )
    assert event.data == CaseReleased(referral_id=REFERRAL, organization=ACCEPTOR, kid="kid-1")
    assert SEALED.encode() not in notice
    assert bench.partner.case(ACCEPTOR, REFERRAL) == SEALED
    assert bench.partner.case(ACCEPTOR, REFERRAL) == SEALED
    for organization in (SENDER, STRANGER):
        assert bench.mailbox(organization) == []
        with pytest.raises(Refused) as refused:
            bench.partner.case(organization, REFERRAL)
        assert refused.value.slug == "not-found"


@pytest.mark.parametrize(
    "closing",
    [
        withdrawn().data,
        ReferralFailed(referral_id=REFERRAL, sender=SENDER, organization=None, reason="case_unreadable"),
        ReferralCompleted(
            referral_id=REFERRAL, sender=SENDER, organization=ACCEPTOR, outcome=Outcome.resolved
        ),
    ],
)
@pytest.mark.parametrize("case_first", [True, False])
def test_case_of_closed_referral_is_deleted_in_either_order(
    bench: Workbench, closing: Fact, case_first: bool
) -> None:
    if case_first:
        bench.receive(released_case())
        assert SEALED in bench.everything_stored()
    bench.receive(event(closing))
    if not case_first:
        bench.receive(released_case())
    assert SEALED not in bench.everything_stored()
    with pytest.raises(Refused):
        bench.partner.case(ACCEPTOR, REFERRAL)


def test_case_after_closing_is_not_announced(bench: Workbench) -> None:
    bench.receive(withdrawn())
    bench.receive(released_case())
    assert [m["type"] for m in bench.mailbox(ACCEPTOR)] == ["kopuro.referral.withdrawn.v1"]
    assert SEALED not in bench.everything_stored()


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_case_replayed_after_a_newer_one_is_a_dead_letter_and_replaces_nothing(
    bench: Workbench, in_one_batch: bool
) -> None:
    older, newer = released_case(case=f"{SEALED}A"), released_case()
    if in_one_batch:
        bench.receive(newer, older)
    else:
        bench.receive(newer)
        bench.receive(older)
    assert bench.partner.case(ACCEPTOR, REFERRAL) == SEALED
    assert [message["id"] for message in bench.mailbox(ACCEPTOR)] == [newer.id]
    assert bench.dead_letters() == 1
    bench.receive(again := released_case(case=f"{SEALED}B"))
    assert bench.partner.case(ACCEPTOR, REFERRAL) == f"{SEALED}B"
    assert [message["id"] for message in bench.mailbox(ACCEPTOR)] == [newer.id, again.id]


def test_note_is_sealed_in_mailbox(bench: Workbench) -> None:
    message = released_note()
    bench.receive(message)
    (body,) = bench.partner.page(SENDER, after=0, limit=10, wait=0).bodies
    delivered = decode(body)
    assert delivered.data == NoteDelivered(
        referral_id=REFERRAL, organization=SENDER, author=ACCEPTOR, note=SEALED
    )
    assert delivered.data.offer_id is None
    assert orjson.loads(body)["dataclassification"] == "sealed"
    assert delivered.id == message.id
    assert bench.mailbox(ACCEPTOR) == []


def test_decline_note_names_its_offer(bench: Workbench) -> None:
    bench.receive(released_note(offer_id=OFFER))
    (message,) = bench.mailbox(SENDER)
    assert (message["data"]["note"], message["data"]["offer_id"]) == (SEALED, OFFER)


def test_message_of_unexpected_type_is_dead_lettered_alone(bench: Workbench) -> None:
    unexpected = event(CaseReleased(referral_id=REFERRAL, organization=ACCEPTOR, kid="kid-1"))
    bench.receive(declined(), unexpected, opened())
    assert bench.dead_letters() == 1
    assert (len(bench.mailbox(SENDER)), len(bench.mailbox(ACCEPTOR))) == (1, 1)
