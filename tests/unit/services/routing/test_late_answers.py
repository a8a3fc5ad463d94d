"""An offer keeps the first answer that came too late, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from contracts.codes import Answer, DeclineReason, InterventionReason, Urgency
from contracts.facts import AnswerRefused, AnswerSubmitted, OfferOpened
from contracts.records import plain
from runtime.identifiers import new_id
from tests.unit.services.routing.samples import DAY, HOUR, NOW, SENDER, organization
from tests.unit.services.routing.workbench import (
    Workbench,
    accepted_by,
    event,
    opened,
    submitted,
    workbench,
)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", "ru.two")
    yield bench
    bench.close()


def late_answers(bench: Workbench, referral: str, viewer: str = SENDER) -> list[tuple[str, str, str]]:
    """Return the organisation, the answer and the time of each late answer that the viewer sees."""
    shown = plain(bench.queries.referral(referral, viewer, oversight=viewer == "coordinator"))
    return [
        (offer["organization"], offer["late_answer"], offer["late_at"])
        for offer in shown["offers"]
        if offer["late_answer"] is not None
    ]


def declined(offer: OfferOpened) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=Answer.decline,
        reason=DeclineReason.no_capacity,
    )


def test_answer_after_the_deadline_is_kept_with_its_offer(bench: Workbench) -> None:
    [first] = opened(bench.take(submitted(referral := new_id())))
    bench.fire(NOW + 4 * DAY)
    before = plain(bench.queries.referral(referral, SENDER, oversight=False))
    bench.take(event(declined(first), referral, at=NOW + 4 * DAY + HOUR))
    expected = [(first.organization, "decline", "2026-03-06T10:00:00Z")]
    for viewer in ("coordinator", SENDER, first.organization):
        assert late_answers(bench, referral, viewer) == expected
    assert late_answers(bench, referral, "ru.two" if first.organization == "ru.one" else "ru.one") == []
    after = plain(bench.queries.referral(referral, SENDER, oversight=False))
    assert (after["status"], after["updated_at"]) == (before["status"], before["updated_at"])


def test_only_the_first_late_answer_is_kept(bench: Workbench) -> None:
    [first] = opened(bench.take(submitted(referral := new_id())))
    bench.fire(NOW + 4 * DAY)
    later = [event(declined(first), referral, at=NOW + 4 * DAY + n * HOUR) for n in (1, 2, 3)]
    bench.take(*later)
    bench.take(event(declined(first), referral, at=NOW + 5 * DAY))
    assert late_answers(bench, referral) == [(first.organization, "decline", "2026-03-06T10:00:00Z")]


def test_late_answer_to_an_offer_that_the_timer_has_not_expired_is_kept(bench: Workbench) -> None:
    [first] = opened(bench.take(submitted(referral := new_id())))
    at = first.deadline + HOUR
    bench.take(event(declined(first), referral, at=at))
    assert [late[:2] for late in late_answers(bench, referral)] == [(first.organization, "decline")]
    bench.fire(at)
    assert [late[:2] for late in late_answers(bench, referral)] == [(first.organization, "decline")]


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_acceptance_after_another_one_is_kept(bench: Workbench, in_one_batch: bool) -> None:
    first, second = opened(bench.take(submitted(referral := new_id(), urgency=Urgency.emergency)))
    if in_one_batch:
        bench.take(accepted_by(second), accepted_by(first))
    else:
        bench.take(accepted_by(second))
        bench.take(accepted_by(first))
    assert late_answers(bench, referral) == [(first.organization, "accept", "2026-03-02T09:00:00Z")]


def test_answer_that_arrived_before_the_revocation_is_not_late(bench: Workbench) -> None:
    first, second = opened(bench.take(submitted(referral := new_id(), urgency=Urgency.emergency)))
    bench.take(accepted_by(second))
    [refusal] = bench.take(event(accepted_by(first).data, referral, at=NOW - HOUR))
    assert isinstance(refusal, AnswerRefused)
    assert late_answers(bench, referral) == []


def test_timely_answer_that_is_read_after_another_acceptance_is_not_late(bench: Workbench) -> None:
    [first] = opened(bench.take(submitted(referral := new_id())))
    [second] = opened(bench.fire(NOW + 4 * DAY))
    bench.take(event(accepted_by(second).data, referral, at=NOW + 4 * DAY))
    [refusal] = bench.take(event(declined(first), referral, at=first.deadline - HOUR))
    assert isinstance(refusal, AnswerRefused)
    assert late_answers(bench, referral) == []


def test_answer_that_is_refused_for_its_content_is_not_late(bench: Workbench) -> None:
    [first] = opened(bench.take(submitted(referral := new_id())))
    bench.fire(NOW + 4 * DAY)
    without_reason = replace(declined(first), reason=None)
    [refusal] = bench.take(event(without_reason, referral, at=first.deadline + HOUR))
    assert isinstance(refusal, AnswerRefused)
    assert refusal.problem["type"].endswith("invalid-submission")
    assert late_answers(bench, referral) == []


@pytest.mark.parametrize("is_expired", [True, False])
def test_late_acceptance_of_a_suspended_organization_is_kept(bench: Workbench, is_expired: bool) -> None:
    [first] = opened(bench.take(submitted(referral := new_id())))
    if is_expired:
        bench.fire(NOW + 4 * DAY)
    bench.absorb([replace(organization(first.organization), active=False)])
    late = event(accepted_by(first).data, referral, at=first.deadline + HOUR)
    assert any(isinstance(fact, AnswerRefused) for fact in bench.take(late))
    assert [kept[:2] for kept in late_answers(bench, referral)] == [(first.organization, "accept")]


def test_timely_acceptance_of_a_suspended_organization_is_not_late(bench: Workbench) -> None:
    [first] = opened(bench.take(submitted(referral := new_id())))
    bench.absorb([replace(organization(first.organization), active=False)])
    timely = event(accepted_by(first).data, referral, at=NOW)
    assert any(isinstance(fact, AnswerRefused) for fact in bench.take(timely))
    assert late_answers(bench, referral) == []


def test_second_answer_to_one_offer_is_not_late(bench: Workbench) -> None:
    [first] = opened(bench.take(submitted(referral := new_id())))
    bench.take(accepted_by(first))
    bench.take(event(declined(first), referral))
    assert late_answers(bench, referral) == []


@pytest.mark.parametrize("answer", ["accept", "decline"])
@pytest.mark.parametrize("is_suspended", [True, False])
def test_answer_of_an_organization_that_had_accepted_and_lost_the_referral_is_not_late(
    bench: Workbench, answer: str, is_suspended: bool
) -> None:
    [first] = opened(bench.take(submitted(referral := new_id())))
    bench.take(accepted_by(first))
    if is_suspended:
        bench.absorb([replace(organization(first.organization), active=False)])
    bench.fire(overdue := NOW + 60 * DAY)
    other = "ru.two" if first.organization == "ru.one" else "ru.one"
    bench.commands.submit_placement(
        referral, other, "kg.aigul", overdue + HOUR, reason=InterventionReason.no_answer
    )
    bench.take(bench.published()[-1])
    again = accepted_by(first).data if answer == "accept" else declined(first)
    [refused] = bench.take(event(again, referral, at=overdue + 2 * HOUR))
    assert isinstance(refused, AnswerRefused)
    assert late_answers(bench, referral) == []
