"""Onward referrals in the store: the link, who sees it, and what the earlier referral's parties learn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.codes import Answer, Outcome
from contracts.envelope import Event
from contracts.errors import Refused
from contracts.facts import (
    AnswerSubmitted,
    Fact,
    OfferOpened,
    OutcomeSubmitted,
    ReferralFailed,
    ReferralReferredOnward,
    ReferralSubmitted,
    ReferralWithdrawn,
    RevocationSubmitted,
)
from runtime.identifiers import new_id
from tests.unit.services.routing.samples import SENDER, facts
from tests.unit.services.routing.workbench import (
    Workbench,
    event,
    opened,
    sender,
    submitted,
    workbench,
)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", "ru.two", sender("ru.stranger"))
    yield bench
    bench.close()


def accepted(offer: OfferOpened) -> Event[Fact]:
    fact = AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=Answer.accept,
    )
    return event(fact, offer.referral_id)


def onward(earlier: str, by: str) -> Event[Fact]:
    referral_id = new_id()
    fact = ReferralSubmitted(referral_id=referral_id, sender=by, facts=facts(), onward_from=earlier)
    return event(fact, referral_id)


def held(bench: Workbench) -> tuple[str, str]:
    """Return a referral and its acceptor."""
    referral_id = new_id()
    (offer,) = opened(bench.take(submitted(referral_id)))
    bench.take(accepted(offer))
    return referral_id, offer.organization


def test_link_is_stored_and_reported_to_the_parties_of_the_earlier_referral(bench: Workbench) -> None:
    first, acceptor = held(bench)
    second = onward(first, acceptor)
    published = bench.take(second)
    (offer,) = opened(published)
    assert {offer.organization, acceptor} == {"ru.one", "ru.two"}
    (link,) = [one for one in bench.published() if isinstance(one.data, ReferralReferredOnward)]
    assert (link.partition_key, link.causation_id) == (first, second.id)
    assert link.data == ReferralReferredOnward(
        referral_id=first, sender=SENDER, organization=acceptor, onward=second.partition_key
    )

    shown = bench.queries.referral(first, SENDER, oversight=False)
    assert shown.onward == (second.partition_key,)
    assert [(step.fact, step.organization, dict(step.detail)) for step in shown.timeline][-1] == (
        "referral.referred_onward",
        acceptor,
        {"onward": second.partition_key},
    )
    # The first sender learns of the new referral, and may not read it.
    with pytest.raises(Refused, match="No referral with this id"):
        bench.queries.referral(second.partition_key, SENDER, oversight=False)
    assert bench.queries.referral(second.partition_key, acceptor, oversight=False).onward_from == first
    assert (
        bench.queries.referral(second.partition_key, offer.organization, oversight=False).onward_from is None
    )


def test_onward_referrals_are_counted_in_one_transaction_and_in_earlier_ones(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.routing.domain.onward.MOST_ONWARD", 3)
    first, acceptor = held(bench)
    bench.take(onward(first, acceptor))
    bench.take(*(onward(first, acceptor) for _ in range(3)))
    bench.take(onward(first, acceptor))
    failed = [one.data.reason for one in bench.published() if isinstance(one.data, ReferralFailed)]
    assert failed == ["too_many_onward"] * 2
    assert len(bench.queries.referral(first, SENDER, oversight=False).onward) == 3


def test_withdrawn_consent_is_stored(bench: Workbench) -> None:
    first, acceptor = held(bench)
    outcome = OutcomeSubmitted(referral_id=first, organization=acceptor, outcome=Outcome.resolved)
    bench.take(event(outcome, first))
    for _ in range(2):
        bench.take(event(RevocationSubmitted(referral_id=first, organization=SENDER), first))
    assert len([one for one in bench.published() if isinstance(one.data, ReferralWithdrawn)]) == 1
    bench.take(onward(first, acceptor))
    (failed,) = [one.data for one in bench.published() if isinstance(one.data, ReferralFailed)]
    assert failed.reason == "not_the_acceptor"


def test_outcome_with_an_onward_referral_open_shows_the_link_and_closes_only_its_own(
    bench: Workbench,
) -> None:
    first, acceptor = held(bench)
    second = onward(first, acceptor)
    bench.take(
        second,
        event(
            OutcomeSubmitted(referral_id=first, organization=acceptor, outcome=Outcome.referred_onward),
            first,
        ),
    )
    shown = bench.queries.referral(first, SENDER, oversight=False)
    assert (shown.status, shown.outcome, shown.onward) == (
        "completed",
        "referred_onward",
        (second.partition_key,),
    )
    assert bench.queries.referral(second.partition_key, acceptor, oversight=False).status == "offered"


def test_withdrawn_consent_of_the_first_referral_leaves_the_second_open(bench: Workbench) -> None:
    first, acceptor = held(bench)
    second = onward(first, acceptor)
    bench.take(second, event(RevocationSubmitted(referral_id=first, organization=SENDER), first))
    assert bench.queries.referral(first, SENDER, oversight=False).status == "withdrawn"
    assert bench.queries.referral(second.partition_key, acceptor, oversight=False).status == "offered"


def test_onward_referral_by_a_non_party_fails_and_does_not_change_the_earlier_referral(
    bench: Workbench,
) -> None:
    first, _ = held(bench)
    before = bench.queries.referral(first, SENDER, oversight=True)
    attempt = onward(first, "ru.stranger")
    assert bench.take(attempt) == [
        ReferralFailed(
            referral_id=attempt.partition_key,
            sender="ru.stranger",
            organization=None,
            reason="not_the_acceptor",
        )
    ]
    assert bench.queries.referral(first, SENDER, oversight=True) == before


def test_onward_referral_in_the_batch_of_its_acceptance_is_linked(bench: Workbench) -> None:
    first = new_id()
    (offer,) = opened(bench.take(submitted(first)))
    second = onward(first, offer.organization)
    bench.take(accepted(offer), second)
    assert bench.queries.referral(first, SENDER, oversight=False).onward == (second.partition_key,)


def test_chain_survives_the_store(bench: Workbench) -> None:
    first, acceptor = held(bench)
    second = onward(first, acceptor)
    (offer,) = opened(bench.take(second))
    bench.take(accepted(offer))
    bench.absorb([sender(SENDER), "ru.one", "ru.two", "ru.three"])
    third = onward(second.partition_key, offer.organization)
    (last,) = opened(bench.take(third))
    assert last.organization == "ru.three"
    with bench.database.read() as transaction:
        stored = bench.store.view(transaction, [third.partition_key])[third.partition_key]
    assert stored.chain is not None
    assert (stored.chain.length, stored.chain.previous) == (2, acceptor)
    assert stored.chain.holders == (SENDER, acceptor, offer.organization)
