"""How long the deadline timer may skip its polls, on a real database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_document import document_of
from services.routing.handlers.uncovered_offers import SETTLED_AFTER
from tests.unit.services.routing.samples import NOW, organization
from tests.unit.services.routing.test_policies import SECOND, policies, started
from tests.unit.services.routing.workbench import Workbench, accepted_by, opened, submitted, workbench

ID = "018f0000-0000-7000-8000-000000000001"
MIDNIGHT = dt.datetime.combine(NOW.date() + dt.timedelta(days=1), dt.time(), dt.UTC)


@pytest.fixture
def bench(sqlite_database: str) -> Iterator[Workbench]:
    bench = workbench(sqlite_database)
    yield bench
    bench.close()


def poll(bench: Workbench, now: dt.datetime) -> None:
    """Take each step of a poll."""
    bench.commands.fire_deadlines(now)
    bench.commands.act_on_suspensions(now)
    bench.commands.end_uncovered_offers(now)
    bench.commands.decide_unplaced_again(now)
    bench.commands.recall()


def settle(bench: Workbench, now: dt.datetime = NOW) -> None:
    """Take polls until the changes of the directory are settled."""
    for at in (now, now, now + SETTLED_AFTER, now + SETTLED_AFTER):
        poll(bench, at)


def test_changed_directory_is_looked_at_until_it_is_settled(bench: Workbench) -> None:
    assert bench.commands.idle_until(NOW) == NOW, "the start lets all be looked at"
    poll(bench, NOW)
    assert bench.commands.idle_until(NOW) == NOW, "approvals are looked at twice"
    settle(bench)
    assert bench.commands.idle_until(NOW) > NOW
    inputs = bench.commands.inputs()
    bench.absorb([replace(organization("ru.one"), active=False)])
    assert bench.commands.inputs() != inputs
    assert bench.commands.idle_until(NOW) == NOW


def test_timer_without_deadlines_is_idle_until_the_next_day_which_reviews_what_seeks(
    bench: Workbench,
) -> None:
    settle(bench)
    assert bench.commands.idle_until(NOW) == MIDNIGHT


def test_timer_is_idle_until_the_next_deadline(bench: Workbench) -> None:
    settle(bench)
    inputs = bench.commands.inputs()
    [offer] = opened(bench.take(submitted(ID)))
    assert bench.commands.inputs() != inputs, "a commit may change what is due"
    settle(bench, bench.clock.now())
    now = bench.clock.now()
    until = bench.commands.idle_until(now)
    assert now < until <= min(offer.deadline, MIDNIGHT)
    near = offer.deadline - dt.timedelta(seconds=10)
    assert bench.commands.idle_until(near) <= offer.deadline
    overdue = offer.deadline + dt.timedelta(seconds=1)
    assert bench.commands.idle_until(overdue) == overdue, "a poll at each turn until it has fired"


def test_deadline_of_an_acceptor_counts_too(bench: Workbench) -> None:
    [offer] = opened(bench.take(submitted(ID)))
    bench.take(accepted_by(offer))
    settle(bench, bench.clock.now())
    with bench.database.read() as transaction:
        due = bench.store.next_due(transaction)
        assert due is not None
        assert bench.store.due_referrals(transaction, due, 1) == [ID]
        assert bench.store.due_referrals(transaction, due - dt.timedelta(microseconds=1), 1) == []


def test_changes_of_an_open_transaction_keep_the_timer_at_work(bench: Workbench) -> None:
    settle(bench)
    with pytest.raises(RuntimeError), bench.database.write() as transaction:
        bench.network.observe(transaction, {})
        raise RuntimeError
    # A rollback commits nothing, but frees the places that it had taken.
    assert bench.commands.idle_until(NOW) == NOW
    poll(bench, NOW)
    assert bench.commands.idle_until(NOW) == MIDNIGHT


def test_another_policy_is_a_change(bench: Workbench) -> None:
    bench.policy = RoutingPolicy
    before = bench.commands.inputs()
    assert bench.commands.inputs() == before
    bench.policy = lambda: RoutingPolicy(version="v2")
    assert bench.commands.inputs() != before


def test_policy_is_read_after_a_commit_of_any_process_only(bench: Workbench, sqlite_database: str) -> None:
    live = started(bench)
    look = policies(bench).when_changed(live.refresh)
    assert [look(), look()] == [True, False]
    operator = Workbench(sqlite_database, ())
    assert policies(operator).apply(SECOND, by="ann", now=NOW) is not None
    operator.close()
    assert look()
    assert document_of(live.current()).version == "v2"
    assert not look()
