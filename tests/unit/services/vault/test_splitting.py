"""The one case of a referral that was split: released for each part, and erased with the whole."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from contracts.codes import HandBackReason
from contracts.envelope import Event
from contracts.errors import Unavailable
from contracts.facts import (
    AcceptanceRevoked,
    CaseErased,
    CaseRefused,
    CaseReleased,
    CaseRequested,
    Fact,
    OfferAccepted,
    ReferralCompleted,
    ReferralHandedBack,
    ReferralRejoined,
    ReferralSplit,
    ReferralWithdrawn,
    SealedCaseReleased,
    SealedCaseReplaced,
    SealedNoteReleased,
    SealedNoteSubmitted,
    SubmissionRefused,
)
from contracts.part_id import part_id
from kopuro_client.sealing import open_sealed, public_key, seal
from runtime.identifiers import new_id
from services.vault.adapters.tables import CUSTODIES
from services.vault.batch import PATIENCE
from services.vault.domain.evidence import ProvenEvent
from tests.unit.services.vault.workbench import (
    ACCEPTOR,
    CASE,
    NAME,
    NOW,
    OFFER,
    REFERRAL,
    SENDER,
    STRANGER,
    Workbench,
    acceptance,
    event,
    offer_to,
    only,
    sealed_case,
    until_a_lock_is_waited_for,
)

FIRST, SECOND = part_id(REFERRAL, 1), part_id(REFERRAL, 2)
SPLIT = ReferralSplit(referral_id=REFERRAL, sender=SENDER, parts=(FIRST, SECOND))
REJOINED = ReferralRejoined(referral_id=REFERRAL, sender=SENDER, parts=(FIRST, SECOND))
OTHER = "kz.almaty-shelter"
SECOND_OFFER = "01930f6e-61b4-7f52-9d03-5c7e8a1b2c03"
FORMER: dict[str, Any] = {"referral_id": REFERRAL, "offer_id": OFFER, "organization": OTHER, "sender": SENDER}
ENDS: list[ReferralHandedBack | AcceptanceRevoked] = [
    ReferralHandedBack(**FORMER, reason=HandBackReason.other),
    AcceptanceRevoked(**FORMER, coordinator="kg.coordinator"),
]


@pytest.fixture
def vault(database_url: str) -> Iterator[Workbench]:
    bench = Workbench(database_url)
    bench.keys.publish(OTHER)
    yield bench
    bench.close()


def case(vault: Workbench) -> Event[Fact]:
    return sealed_case(seal(CASE, public_key(vault.custody)))


def completed(referral: str, by: str | None) -> Event[Fact]:
    fact = ReferralCompleted(
        referral_id=referral,
        sender=SENDER,
        organization=by,
        outcome="resolved",  # type: ignore[arg-type]
    )
    return event(fact)


def withdrawn(referral: str, by: str | None, reason: str = "other") -> Event[Fact]:
    return event(ReferralWithdrawn(referral_id=referral, sender=SENDER, organization=by, reason=reason))


def handed_back(referral: str, by: str) -> Event[Fact]:
    return event(
        ReferralHandedBack(
            referral_id=referral,
            offer_id=offer_to(by),
            organization=by,
            sender=SENDER,
            reason=HandBackReason.other,
        )
    )


def released(vault: Workbench) -> list[tuple[str, str]]:
    """The releases so far: the part and the organisation whose key opens the case."""
    found = []
    for message in vault.sent():
        if isinstance(fact := message.data, SealedCaseReleased):
            assert open_sealed(fact.case, vault.keys.private[fact.organization]) == CASE
            assert message.partition_key == fact.referral_id
            found.append((fact.referral_id, fact.organization))
    return found


def states(vault: Workbench) -> list[str | None]:
    return [vault.state(one) for one in (REFERRAL, FIRST, SECOND)]


def test_acceptor_of_each_part_gets_the_one_case_under_the_id_of_its_part(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT))
    assert (vault.sent(), vault.sealed_cases()) == ([], 1)

    vault.receive(acceptance(referral=FIRST))
    assert released(vault) == [(FIRST, ACCEPTOR)]
    vault.receive(acceptance(OTHER, referral=SECOND))

    assert released(vault) == [(FIRST, ACCEPTOR), (SECOND, OTHER)]
    assert [m.data.referral_id for m in vault.sent() if isinstance(m.data, CaseReleased)] == [FIRST, SECOND]
    assert (states(vault), vault.sealed_cases()) == (["held", "released", "released"], 1)


def test_referral_that_was_rewritten_into_a_part_of_another_one_gets_no_case(vault: Workbench) -> None:
    """The writer to the vault's database is the acceptor of a referral of its own."""
    own = new_id()
    vault.receive(
        case(vault), sealed_case(seal({**CASE, "name": "Own"}, public_key(vault.custody)), referral=own)
    )
    rewritten = update(CUSTODIES).where(CUSTODIES.c.referral_id == own)
    with vault.database.write() as transaction:
        transaction.execute(rewritten.values(part_of=REFERRAL))
    vault.receive(acceptance(OTHER, referral=own))
    vault.release_waiting()
    assert released(vault) == []
    # Others are released meanwhile, and its own case once the row is as it was.
    vault.receive(acceptance())
    assert released(vault) == [(REFERRAL, ACCEPTOR)]
    with vault.database.write() as transaction:
        transaction.execute(rewritten.values(part_of=None))
    vault.release_waiting()
    assert [m.data.organization for m in vault.sent() if isinstance(m.data, CaseReleased)] == [
        ACCEPTOR,
        OTHER,
    ]


def test_referral_that_was_rewritten_into_a_part_of_a_part_stops_nothing(vault: Workbench) -> None:
    """A batch about it takes the part, which waits for its acceptor, without the whole."""
    own = new_id()
    vault.receive(
        case(vault), sealed_case(seal({**CASE, "name": "Own"}, public_key(vault.custody)), referral=own)
    )
    vault.keys.pauses[OTHER] = NOW + PATIENCE
    vault.receive(event(SPLIT), acceptance(OTHER, referral=FIRST))
    with vault.database.write() as transaction:
        transaction.execute(update(CUSTODIES).where(CUSTODIES.c.referral_id == own).values(part_of=FIRST))
    vault.receive(acceptance(referral=own))
    vault.release_waiting()
    assert (released(vault), vault.dead_letters()) == ([], 0)
    vault.clock.time += PATIENCE
    vault.release_waiting()
    assert released(vault) == [(FIRST, OTHER)], "the case goes to the part's own acceptor"


@pytest.mark.parametrize("accepted_first", [False, True])
def test_case_that_arrives_after_the_split_is_released_to_those_that_have_accepted(
    vault: Workbench, accepted_first: bool
) -> None:
    accepted = acceptance(referral=FIRST)
    # A retried split may come after the acceptance of a part.
    vault.receive(*((accepted, event(SPLIT)) if accepted_first else (event(SPLIT), accepted)))
    assert released(vault) == []
    vault.receive(case(vault))
    assert released(vault) == [(FIRST, ACCEPTOR)]
    assert states(vault) == ["held", "released", "held"]


def test_each_release_has_the_split_and_the_acceptance_as_evidence(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(referral=FIRST))
    kinds = [type_ for type_, _, signed in vault.evidence(FIRST) if signed]
    assert sorted(kinds) == ["kopuro.offer.accepted.v1", "kopuro.referral.split.v1"]
    assert [type_ for type_, _, _ in vault.evidence(SECOND)] == ["kopuro.referral.split.v1"]


def test_case_is_kept_until_the_whole_ends_and_then_erased_once(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(referral=FIRST), acceptance(OTHER, referral=SECOND))
    vault.receive(completed(FIRST, ACCEPTOR))
    assert (states(vault), vault.sealed_cases()) == (["held", "erased", "released"], 1)
    vault.receive(completed(SECOND, OTHER), completed(REFERRAL, None))
    assert (states(vault), vault.sealed_cases()) == (["erased"] * 3, 0)
    erased = [m.data for m in vault.sent() if isinstance(m.data, CaseErased)]
    assert erased == [CaseErased(referral_id=REFERRAL, reason="completed")]
    assert NAME not in vault.everything_stored()


@pytest.mark.parametrize("reason", ["other", "consent_revoked"])
def test_withdrawn_whole_ends_every_part_even_before_their_own_ends_are_read(
    vault: Workbench, reason: str
) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(referral=FIRST))
    vault.receive(withdrawn(REFERRAL, None, reason))
    assert (states(vault), vault.sealed_cases()) == (["erased"] * 3, 0)
    vault.receive(acceptance(OTHER, referral=SECOND))
    vault.receive(withdrawn(FIRST, ACCEPTOR, reason), withdrawn(SECOND, None, reason))
    assert released(vault) == [(FIRST, ACCEPTOR)]
    assert vault.dead_letters() == 0


def test_acceptance_and_withdrawal_of_the_whole_in_one_batch_release_nothing(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(referral=FIRST), withdrawn(REFERRAL, None))
    assert released(vault) == []


def test_withdrawn_part_gets_no_case_while_the_other_does(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(withdrawn(FIRST, None))
    vault.receive(acceptance(referral=FIRST), acceptance(OTHER, referral=SECOND))
    assert released(vault) == [(SECOND, OTHER)]
    assert vault.sealed_cases() == 1


def test_part_handed_back_is_released_to_the_next_acceptor(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(referral=FIRST))
    vault.receive(handed_back(FIRST, ACCEPTOR), acceptance(OTHER, referral=FIRST))
    assert released(vault) == [(FIRST, ACCEPTOR), (FIRST, OTHER)]


NEWER = {**CASE, "phones": ["+996700111111"]}


def opened(vault: Workbench) -> list[tuple[str, str, Any]]:
    found = [m.data for m in vault.sent() if isinstance(m.data, SealedCaseReleased)]
    return [
        (m.referral_id, m.organization, open_sealed(m.case, vault.keys.private[m.organization]))
        for m in found
    ]


def replaced(vault: Workbench, to: str | None, referral: str) -> None:
    key = vault.custody if to is None else vault.keys.private[to]
    case = seal(NEWER, dict(public_key(key)))
    vault.receive(event(SealedCaseReplaced(referral_id=referral, sender=SENDER, to=to, case=case)))


@pytest.mark.parametrize("named", [REFERRAL, FIRST, SECOND])
def test_case_replaced_in_custody_goes_to_the_acceptors_of_all_parts_and_to_later_ones(
    vault: Workbench, named: str
) -> None:
    vault.keys.publish(STRANGER)
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(referral=FIRST), acceptance(OTHER, referral=SECOND))
    replaced(vault, None, named)
    vault.receive(handed_back(FIRST, ACCEPTOR), acceptance(STRANGER, referral=FIRST))
    assert sorted(opened(vault)[2:4], key=str) == sorted(
        [(FIRST, ACCEPTOR, NEWER), (SECOND, OTHER, NEWER)], key=str
    )
    assert opened(vault)[4:] == [(FIRST, STRANGER, NEWER)]
    assert (vault.sealed_cases(), vault.dead_letters()) == (1, 0)


def test_case_replaced_for_the_acceptor_of_one_part_is_requested_for_the_others(vault: Workbench) -> None:
    vault.keys.publish(STRANGER)
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(referral=FIRST), acceptance(OTHER, referral=SECOND))
    replaced(vault, ACCEPTOR, FIRST)
    requests = [m.data for m in vault.sent() if isinstance(m.data, CaseRequested)]
    assert [(one.referral_id, one.organization) for one in requests] == [(SECOND, OTHER)]
    replaced(vault, OTHER, SECOND)
    assert opened(vault)[2:] == [(FIRST, ACCEPTOR, NEWER), (SECOND, OTHER, NEWER)]
    # The case in the vault is now sealed to OTHER: neither a new acceptor nor a former one gets it.
    vault.receive(handed_back(FIRST, ACCEPTOR), acceptance(STRANGER, referral=FIRST))
    vault.receive(handed_back(FIRST, STRANGER), acceptance(referral=FIRST, offer=SECOND_OFFER))
    requests = [m.data for m in vault.sent() if isinstance(m.data, CaseRequested)]
    assert [(m.referral_id, m.organization) for m in requests[1:]] == [(FIRST, STRANGER), (FIRST, ACCEPTOR)]
    assert len(opened(vault)) == 4
    # The sender is asked once, however often the vault looks whether something can be released.
    asked = len(vault.sent())
    vault.release_waiting()
    vault.release_waiting()
    assert len(vault.sent()) == asked
    replaced(vault, None, REFERRAL)
    assert sorted(opened(vault)[4:], key=str) == sorted(
        [(FIRST, ACCEPTOR, NEWER), (SECOND, OTHER, NEWER)], key=str
    )
    assert (vault.sealed_cases(), vault.dead_letters()) == (1, 0)


def test_older_replacement_of_a_split_case_is_refused_after_a_newer_one_for_one_part(
    vault: Workbench,
) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(referral=FIRST), acceptance(OTHER, referral=SECOND))
    sealed = seal(CASE, public_key(vault.custody))
    older = event(SealedCaseReplaced(referral_id=SECOND, sender=SENDER, to=None, case=sealed))
    replaced(vault, ACCEPTOR, FIRST)
    before = opened(vault)
    vault.receive(older)
    assert opened(vault) == before
    assert only(SubmissionRefused, vault.sent()).problem["type"] == "urn:kopuro:problem:conflict"
    # The acceptor of the other part waits for the newest case; the sender was asked for it.
    requests = [m.data for m in vault.sent() if isinstance(m.data, CaseRequested)]
    assert [(one.referral_id, one.organization) for one in requests] == [(SECOND, OTHER)]


def test_notes_of_a_part_go_to_the_parties_of_that_part(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(referral=FIRST), acceptance(OTHER, referral=SECOND))
    note = seal({"note": "…"}, dict(public_key(vault.keys.private[ACCEPTOR])))
    for author in (SENDER, OTHER):
        vault.receive(event(SealedNoteSubmitted(referral_id=FIRST, author=author, note=note)))
    forwarded = [m.data for m in vault.sent() if isinstance(m.data, SealedNoteReleased)]
    assert [(one.referral_id, one.organization) for one in forwarded] == [(FIRST, ACCEPTOR)]


def test_unreadable_case_is_refused_once_and_no_part_gets_it(vault: Workbench) -> None:
    vault.receive(sealed_case(seal({"not": "a case"}, public_key(vault.custody))), event(SPLIT))
    vault.receive(acceptance(referral=FIRST))
    refused = [m.data.referral_id for m in vault.sent() if isinstance(m.data, CaseRefused)]
    assert refused == [REFERRAL]
    assert (released(vault), states(vault)) == ([], ["refused"] * 3)


def test_part_waits_for_its_acceptors_key_and_is_released_when_it_comes(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(acceptance(STRANGER, referral=FIRST), acceptance(OTHER, referral=SECOND))
    assert released(vault) == [(SECOND, OTHER)]
    vault.keys.publish(STRANGER)
    vault.release_waiting()
    assert released(vault) == [(SECOND, OTHER), (FIRST, STRANGER)]


def test_whole_is_not_released_even_if_an_acceptance_names_it(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT))
    vault.receive(replace(acceptance(STRANGER), time=vault.clock.now() - PATIENCE))
    assert (vault.sent(), vault.dead_letters()) == ([], 1)


def test_referral_that_is_whole_again_is_released_to_its_acceptor_and_its_parts_to_nobody(
    vault: Workbench,
) -> None:
    vault.receive(case(vault), event(SPLIT), event(REJOINED), acceptance(OTHER))
    assert released(vault) == [(REFERRAL, OTHER)]
    assert states(vault) == ["released", "erased", "erased"]
    vault.receive(acceptance(referral=FIRST))
    assert released(vault) == [(REFERRAL, OTHER)]
    assert [type_ for type_, _, _ in vault.evidence(FIRST)][:2] == [SPLIT.type, REJOINED.type]
    vault.receive(withdrawn(FIRST, None), withdrawn(SECOND, None), completed(REFERRAL, OTHER))
    assert (states(vault), vault.sealed_cases()) == (["erased"] * 3, 0)
    assert [m.data.referral_id for m in vault.sent() if isinstance(m.data, CaseErased)] == [REFERRAL]


def test_acceptance_of_the_whole_waits_for_the_fact_that_it_is_whole_again(vault: Workbench) -> None:
    accepted = replace(acceptance(OTHER), time=vault.clock.now())
    vault.receive(case(vault), event(SPLIT), accepted)
    assert (released(vault), vault.dead_letters()) == ([], 0)
    vault.receive(event(REJOINED), accepted)
    assert released(vault) == [(REFERRAL, OTHER)]


@pytest.mark.parametrize("retried_first", [True, False])
@pytest.mark.parametrize("following", [OTHER, STRANGER])
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.type)
def test_acceptance_that_waits_and_has_ended_meanwhile_takes_no_effect(
    vault: Workbench, end: ReferralHandedBack | AcceptanceRevoked, following: str, retried_first: bool
) -> None:
    vault.keys.publish(STRANGER)
    now = vault.clock.now()
    vault.receive(case(vault), event(SPLIT), event(OfferAccepted(**FORMER), time=now))
    vault.receive(event(end, time=now), event(REJOINED, time=now))
    again = OfferAccepted(**{**FORMER, "offer_id": SECOND_OFFER, "organization": following})
    vault.clock.time += timedelta(seconds=2)
    if retried_first:
        assert vault.events.retry_due() == 1
        assert (released(vault), states(vault)[0]) == ([], "held")
    vault.receive(event(again, time=now))
    if not retried_first:
        assert vault.events.retry_due() == 1
    assert (released(vault), vault.dead_letters()) == ([(REFERRAL, following)], 0)
    assert only(SealedCaseReleased, vault.sent()).offer_id == SECOND_OFFER
    # An operator replays it: the former acceptor gets nothing.
    vault.receive(event(OfferAccepted(**FORMER), time=now))
    assert released(vault) == [(REFERRAL, following)]
    vault.receive(event(replace(end, offer_id=SECOND_OFFER, organization=following)))
    assert states(vault)[0] == "held"
    kept = {type_ for type_, _, _ in vault.evidence(REFERRAL)}
    assert {end.type, OfferAccepted.type} <= kept


def test_referral_rejoins_once_the_hand_back_of_its_part_has_arrived(vault: Workbench) -> None:
    vault.receive(case(vault), event(SPLIT), acceptance(referral=FIRST))
    rejoined = event(REJOINED, time=vault.clock.now())
    vault.receive(rejoined)
    assert (states(vault)[0], vault.dead_letters()) == ("held", 0)
    vault.receive(handed_back(FIRST, ACCEPTOR), rejoined, acceptance(OTHER))
    assert (REFERRAL, OTHER) in released(vault)
    assert states(vault) == ["released", "erased", "erased"]


@pytest.mark.parametrize("accepted", [True, False], ids=["part with an acceptor", "other parts"])
def test_referral_rejoins_only_its_own_parts_and_none_that_is_accepted(
    vault: Workbench, accepted: bool
) -> None:
    vault.receive(case(vault), event(SPLIT))
    if accepted:
        vault.receive(acceptance(referral=FIRST))
    before = states(vault)
    fact = REJOINED if accepted else replace(REJOINED, parts=(SECOND, FIRST))
    vault.receive(event(fact, time=vault.clock.now() - PATIENCE))
    assert (states(vault), vault.dead_letters()) == (before, 1)


@pytest.mark.parametrize(
    "forged",
    [
        ReferralSplit(referral_id=REFERRAL, sender=SENDER, parts=(SECOND, FIRST)),
        ReferralSplit(referral_id=REFERRAL, sender=SENDER, parts=(FIRST, OFFER)),
        ReferralSplit(referral_id=REFERRAL, sender=STRANGER, parts=(FIRST, SECOND)),
    ],
    ids=["wrong order", "foreign id", "other sender"],
)
def test_split_that_does_not_fit_its_case_changes_nothing(vault: Workbench, forged: ReferralSplit) -> None:
    vault.receive(case(vault))
    vault.receive(event(forged))
    assert vault.dead_letters() == 1
    vault.receive(acceptance(referral=FIRST))
    assert released(vault) == []


def test_repeated_split_changes_nothing(vault: Workbench) -> None:
    split = event(SPLIT)
    vault.receive(case(vault), split)
    vault.receive(acceptance(referral=FIRST))
    vault.receive(split)
    vault.receive(event(SPLIT))
    assert (states(vault), vault.dead_letters()) == (["held", "released", "held"], 1)


def test_referral_split_between_look_up_and_lock_is_tried_again(
    vault: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.receive(case(vault), event(SPLIT))
    monkeypatch.setattr(vault.store, "linked", lambda transaction, ids: set())
    with vault.database.write() as transaction, pytest.raises(Unavailable):
        vault.handlers.sealed_messages(
            transaction,
            [event(SealedNoteSubmitted(referral_id=FIRST, author=SENDER, note="x"))],
            vault.clock.now(),
        )


def test_acceptances_of_both_parts_in_two_processes_release_each_once(postgres_database: str) -> None:
    bench = Workbench(postgres_database)
    bench.keys.publish(OTHER)
    bench.receive(case(bench), event(SPLIT))
    accepted = (acceptance(referral=FIRST), acceptance(OTHER, referral=SECOND))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(bench.receive, accepted))
    assert sorted(released(bench)) == sorted([(FIRST, ACCEPTOR), (SECOND, OTHER)])
    bench.close()


def test_acceptance_that_is_retried_while_another_process_reads_its_end_takes_no_effect(
    postgres_database: str,
) -> None:
    bench = Workbench(postgres_database)
    bench.keys.publish(OTHER)
    now = bench.clock.now()
    bench.receive(case(bench), event(SPLIT), event(OfferAccepted(**FORMER), time=now))
    bench.receive(event(REJOINED, time=now))
    bench.clock.time += timedelta(seconds=2)
    end = ProvenEvent.decode(event(ENDS[0], time=now).encode())
    with ThreadPoolExecutor(1) as pool:
        with bench.database.write() as transaction:
            bench.handlers.events(transaction, [end], now)
            retry = pool.submit(bench.events.retry_due)
            until_a_lock_is_waited_for(bench)
        assert retry.result(20) == 1
    assert (released(bench), states(bench)[0], bench.dead_letters()) == ([], "held", 0)
    bench.close()
