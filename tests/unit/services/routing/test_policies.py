"""Policies in force: applied in one transaction with their fact, and followed by every process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select, text, update

from contracts.errors import Defect, Refused
from contracts.facts import RoutingPolicyApplied
from services.routing.adapters.policies import SqlPolicyStore
from services.routing.adapters.tables import POLICIES
from services.routing.domain.policy import Deadlines, RoutingPolicy
from services.routing.domain.policy_document import ConfiguredPolicy, configured_policy, document_of
from services.routing.handlers.policies import LivePolicy, Policies
from tests.unit.services.routing.samples import HOUR, NOW
from tests.unit.services.routing.workbench import Workbench, opened, submitted, workbench

IDS = [f"018f0000-0000-7000-8000-00000000000{n}" for n in range(4)]
FIRST = document_of(RoutingPolicy())
SECOND = document_of(RoutingPolicy(version="v2", routine=Deadlines(answer=7200, progress=86400)))


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url)
    yield bench
    bench.close()


def policies(bench: Workbench) -> Policies:
    return Policies(
        database=bench.database, store=SqlPolicyStore(), outbox=bench.outbox, source="/kg/routing"
    )


def rewrite_second(bench: Workbench) -> None:
    """Apply the second policy, and change its content in the database."""
    policies(bench).apply(SECOND, by="ann", now=NOW)
    with bench.database.write() as transaction:
        forged = {**SECOND.content, "emergency_offers": 1}
        transaction.execute(update(POLICIES).where(POLICIES.c.number == 2).values(content=forged))


def started(bench: Workbench, configured: ConfiguredPolicy | None = None) -> LivePolicy:
    configured = configured or ConfiguredPolicy(document=FIRST)
    live = LivePolicy(policies(bench), configured, bench.clock, lambda: None)
    live.start(lambda _: None)
    return live


def applied_facts(bench: Workbench) -> list[RoutingPolicyApplied]:
    return [e.data for e in bench.outbox_events() if isinstance(e.data, RoutingPolicyApplied)]


def test_policy_takes_effect_in_every_process_without_a_restart(bench: Workbench, database_url: str) -> None:
    second = Workbench(database_url, ("ru.one", "ru.two", "ru.three"))
    lives = [started(bench), started(second)]
    bench.policy, second.policy = lives[0].current, lives[1].current
    [before] = opened(bench.take(submitted(IDS[0])))
    assert policies(bench).apply(SECOND, by="ann", now=NOW) is not None
    for live in lives:
        live.refresh()
    offers = [opened(one.take(submitted(id_)))[0] for one, id_ in ((bench, IDS[1]), (second, IDS[2]))]
    assert {offer.deadline for offer in offers} == {NOW + 2 * HOUR}
    # The earlier decision keeps its version, and its offer keeps its deadline.
    decided = [bench.queries.decisions(id_, "kg.sender", oversight=True)[0] for id_ in IDS[:3]]
    assert [one["policy_version"] for one in decided] == ["2026-1", "v2", "v2"]
    assert before.deadline == NOW + 72 * HOUR
    view = bench.queries.referral(IDS[0], "kg.sender", oversight=True)
    assert view.offers[0].deadline == before.deadline
    second.close()


def test_policy_in_force_stays_after_a_restart_with_another_configured_policy(bench: Workbench) -> None:
    started(bench)
    policies(bench).apply(SECOND, by="ann", now=NOW)
    configured = configured_policy(b'{"version": "configured"}')
    assert started(bench, configured).current() == SECOND.policy


@pytest.mark.parametrize(
    ("configured", "warned"),
    [
        (None, False),
        (b'{"version": "v2", "routine": {"answer": 7200, "progress": 86400}}', False),
        # The file omits what the applied policy states.
        (b'{"version": "v2"}', False),
        (b'{"version": "v2", "routine": {"answer": 7201, "progress": 86400}}', True),
        (b'{"version": "2026-1"}', True),
    ],
)
def test_start_warns_of_a_configured_policy_that_is_not_in_force(
    bench: Workbench, caplog: pytest.LogCaptureFixture, configured: bytes | None, warned: bool
) -> None:
    """A hub without KOPURO_POLICY, and one whose file omits a member with a new default, have no warning."""
    started(bench)
    policies(bench).apply(SECOND, by="ann", now=NOW)
    started(bench, None if configured is None else configured_policy(configured))
    assert ("the configured policy is not in force" in caplog.text) is warned


def test_each_policy_is_on_record_with_its_content_and_operator(bench: Workbench) -> None:
    started(bench)
    policies(bench).apply(SECOND, by="ann", now=NOW)
    first, second = applied_facts(bench)
    assert (first.number, first.by, first.previous) == (1, "routing", None)
    assert (second.number, second.by, second.previous) == (2, "ann", "2026-1")
    assert (second.policy, second.digest) == (json.loads(json.dumps(SECOND.content)), SECOND.digest)
    assert [one.document for one in policies(bench).every()] == [FIRST, SECOND]


def test_two_processes_that_start_together_store_one_first_policy(
    bench: Workbench, database_url: str
) -> None:
    second = Workbench(database_url, ("ru.one",))
    raced = policies(second)
    started(bench)
    assert raced.first(SECOND, NOW).document == FIRST
    assert len(applied_facts(bench)) == 1
    second.close()


def test_policy_in_force_is_not_applied_twice(bench: Workbench) -> None:
    started(bench)
    assert policies(bench).apply(FIRST, by="ann", now=NOW) is None
    assert len(applied_facts(bench)) == 1


def test_earlier_policy_can_be_applied_again(bench: Workbench) -> None:
    live = started(bench)
    for document in (SECOND, FIRST):
        policies(bench).apply(document, by="ann", now=NOW)
    live.refresh()
    assert live.current() == FIRST.policy
    assert [one.number for one in policies(bench).every()] == [1, 2, 3]


def test_version_of_another_policy_is_refused_and_nothing_is_written(bench: Workbench) -> None:
    live = started(bench)
    changed = document_of(replace(FIRST.policy, emergency_offers=9))
    with pytest.raises(Refused) as refused:
        policies(bench).apply(changed, by="ann", now=NOW)
    assert [error.pointer for error in refused.value.errors] == ["/version"]
    live.refresh()
    assert live.current() == FIRST.policy
    with bench.database.read() as transaction:
        assert transaction.execute(select(func.count()).select_from(POLICIES)).scalar_one() == 1
    assert len(applied_facts(bench)) == 1


def test_policy_whose_fact_cannot_be_written_is_not_in_force(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = started(bench)

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(bench.outbox, "add", full)
    with pytest.raises(OSError, match="no space"):
        policies(bench).apply(SECOND, by="ann", now=NOW)
    live.refresh()
    assert live.current() == FIRST.policy
    assert [one.document for one in policies(bench).every()] == [FIRST]


def test_rewritten_policy_is_not_used_and_raises_an_alarm(bench: Workbench) -> None:
    live = started(bench)
    rewrite_second(bench)
    live.refresh()
    assert live.current() == FIRST.policy
    assert "policy 2 does not match its digest" in (live.alarm() or "")
    with pytest.raises(Defect):
        policies(bench).every()


def test_policy_that_is_not_json_is_not_used_and_raises_an_alarm(bench: Workbench) -> None:
    live = started(bench)
    policies(bench).apply(SECOND, by="ann", now=NOW)
    with bench.database.write() as transaction:
        transaction.execute(text("UPDATE policies SET content = 'no JSON' WHERE number = 2"))
    live.refresh()
    assert live.current() == FIRST.policy
    assert "not JSON" in (live.alarm() or "")
    third = document_of(replace(SECOND.policy, version="v3"))
    assert policies(bench).apply(third, by="ann", now=NOW) is not None
    live.refresh()
    assert (live.current(), live.alarm()) == (third.policy, None)


def test_policy_is_applied_in_place_of_a_rewritten_one(bench: Workbench) -> None:
    live = started(bench)
    rewrite_second(bench)
    live.refresh()
    third = document_of(replace(SECOND.policy, version="v3"))
    applied = policies(bench).apply(third, by="ann", now=NOW)
    assert applied is not None
    assert applied.number == 3
    live.refresh()
    assert (live.current(), live.alarm()) == (third.policy, None)
    assert applied_facts(bench)[-1].previous == "v2"
    assert started(bench).current() == third.policy
