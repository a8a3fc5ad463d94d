from __future__ import annotations

from collections.abc import Iterator

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
    case_letter,
    declined,
    event,
    note_letter,
    opened,
    withdrawn,
)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = Workbench(database_url)
    yield bench
    bench.database.close()


def test_a_mailbox_holds_the_message_as_the_bytes_it_was(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    page = bench.partner.page(ACCEPTOR, after=0, limit=10, wait=0)
    assert page.bodies == [offer.encode()]
    assert bench.mailbox(SENDER) == []


def test_both_parties_get_the_same_message_each_in_their_own_mailbox(bench: Workbench) -> None:
    accepted = event(
        OfferAccepted(referral_id=REFERRAL, offer_id=OFFER, organization=ACCEPTOR, sender=SENDER)
    )
    bench.receive(accepted)
    bench.mailbox(SENDER)
    bench.partner.acknowledge(SENDER, accepted.id)
    assert bench.mailbox(SENDER) == []
    assert [message["id"] for message in bench.mailbox(ACCEPTOR)] == [accepted.id]


def test_a_message_that_comes_again_is_put_in_once(bench: Workbench) -> None:
    offer, letter = opened(), case_letter()
    bench.receive(offer, offer, letter)
    bench.receive(offer, letter, letter)
    assert [m["id"] for m in bench.mailbox(ACCEPTOR)] == [offer.id, letter.id]


def test_messages_lie_in_the_order_in_which_they_came(bench: Workbench) -> None:
    offers = [opened() for _ in range(30)]
    bench.receive(*offers[:17])
    bench.receive(*offers[17:])
    assert [m["id"] for m in bench.mailbox(ACCEPTOR)] == [offer.id for offer in offers]


def test_a_released_case_is_announced_and_lies_ready_for_its_acceptor_alone(bench: Workbench) -> None:
    letter = case_letter()
    bench.receive(letter)
    (notice,) = bench.partner.page(ACCEPTOR, after=0, limit=10, wait=0).bodies
    event = decode(notice)
    assert (event.id, event.source, event.correlation_id) == (letter.id, letter.source, letter.correlation_id)
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
@pytest.mark.parametrize("letter_first", [True, False])
def test_after_the_end_of_the_referral_the_case_is_gone_in_whichever_order_they_come(
    bench: Workbench, closing: Fact, letter_first: bool
) -> None:
    if letter_first:
        bench.receive(case_letter())
        assert SEALED in bench.everything_stored()
    bench.receive(event(closing))
    if not letter_first:
        bench.receive(case_letter())
    assert SEALED not in bench.everything_stored()
    with pytest.raises(Refused):
        bench.partner.case(ACCEPTOR, REFERRAL)


def test_a_case_that_came_too_late_is_not_announced(bench: Workbench) -> None:
    bench.receive(withdrawn())
    bench.receive(case_letter())
    assert [m["type"] for m in bench.mailbox(ACCEPTOR)] == ["kopuro.referral.withdrawn.v1"]


def test_a_note_lies_sealed_in_the_mailbox(bench: Workbench) -> None:
    letter = note_letter()
    bench.receive(letter)
    (message,) = bench.partner.page(SENDER, after=0, limit=10, wait=0).bodies
    delivered = decode(message)
    assert delivered.data == NoteDelivered(
        referral_id=REFERRAL, organization=SENDER, author=ACCEPTOR, note=SEALED
    )
    assert delivered.data.offer_id is None
    assert orjson.loads(message)["dataclassification"] == "sealed"
    assert delivered.id == letter.id
    assert bench.mailbox(ACCEPTOR) == []


def test_decline_note_names_its_offer(bench: Workbench) -> None:
    bench.receive(note_letter(offer_id=OFFER))
    (message,) = bench.mailbox(SENDER)
    assert (message["data"]["note"], message["data"]["offer_id"]) == (SEALED, OFFER)


def test_a_message_that_is_nobodys_is_parked_and_its_neighbours_pass(bench: Workbench) -> None:
    stray = event(CaseReleased(referral_id=REFERRAL, organization=ACCEPTOR, kid="kid-1"))
    bench.receive(declined(), stray, opened())
    assert bench.parked() == 1
    assert (len(bench.mailbox(SENDER)), len(bench.mailbox(ACCEPTOR))) == (1, 1)
