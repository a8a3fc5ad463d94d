"""Reports of weeks on a real database: made once, from the timeline, and stored as they may be shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import select, update

from contracts.codes import Answer, WithdrawalReason
from contracts.errors import Refused
from contracts.facts import AnswerSubmitted, OfferOpened, RevocationSubmitted, WithdrawalSubmitted
from runtime.identifiers import new_id
from runtime.storage.migrate import differences
from services.routing.adapters import week_events
from services.routing.adapters.fact_reduction import SqlFactReduction
from services.routing.adapters.tables import TIMELINE, WEEKLY_REPORTS
from services.routing.adapters.week_events import STEPS, SqlWeekEvents
from services.routing.adapters.weekly_reports import SqlWeeklyReports
from services.routing.domain.calendar_week import CalendarWeek, SeriesSpan
from services.routing.domain.weekly_report import report_of
from services.routing.handlers.fact_reduction import ReduceFacts
from services.routing.handlers.weekly_reports import MADE_AFTER, ReportQueries, ReportWeeks
from services.routing.migrations import weekly_reports as migration
from tests.support.turns import count_turns
from tests.unit.services.routing.samples import DAY, NOW, SENDER, consent
from tests.unit.services.routing.workbench import Workbench, event, opened, sender, submitted, workbench

WEEK = CalendarWeek.of(NOW)
UNMET = "health.emergency"


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", *(sender(f"kg.{n}") for n in range(8)))
    yield bench
    bench.close()


def reporting(bench: Workbench, unready: str | None = None) -> ReportWeeks:
    return ReportWeeks(
        database=bench.database,
        reports=SqlWeeklyReports(),
        events=SqlWeekEvents(),
        network=bench.network,
        unready=lambda: unready,
        clock=bench.clock,
    )


def queries(bench: Workbench) -> ReportQueries:
    return ReportQueries(database=bench.database, reports=SqlWeeklyReports())


def answer(offer: OfferOpened, what: Answer, reason: str | None = None) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=what,
        reason=reason,  # type: ignore[arg-type]
    )


def offered(bench: Workbench) -> OfferOpened:
    (found,) = opened(bench.take(submitted(new_id())))
    return found


def unplaced(bench: Workbench, count: int) -> list[str]:
    ids = [new_id() for _ in range(count)]
    bench.take(*(submitted(one, needs=(UNMET,)) for one in ids))
    return ids


def weeks_stored(bench: Workbench) -> list[str]:
    with bench.database.read() as transaction:
        return list(
            transaction.execute(select(WEEKLY_REPORTS.c.week).order_by(WEEKLY_REPORTS.c.week)).scalars()
        )


def busy_week(bench: Workbench) -> None:
    """Six accepted, three declined and two expired offers; seven referrals without any."""
    for number in range(9):
        offer = offered(bench)
        bench.clock.time = NOW + dt.timedelta(minutes=10)
        what = (Answer.accept, None) if number < 6 else (Answer.decline, "out_of_area")
        bench.take(event(answer(offer, *what), offer.referral_id, bench.clock.time))
        bench.clock.time = NOW
    silent = [offered(bench) for _ in range(2)]
    unplaced(bench, 7)
    bench.fire(max(offer.deadline for offer in silent) + dt.timedelta(seconds=1))


def test_report_of_a_week_counts_its_events(bench: Workbench) -> None:
    busy_week(bench)
    bench.clock.time = WEEK.end + MADE_AFTER
    reporting(bench).turn()
    shown = queries(bench).report(None, "ru")
    assert shown["week"] == str(WEEK)
    assert {name: one["count"] for name, one in shown["totals"].items()} == {
        "submitted": 18,
        # After the declines and the expiries, no other organisation was found.
        "unplaced": 12,
        "asked": 11,
        "answered": 9,
        "silent": None,
    }
    gap, rest = shown["gaps"][-2:]
    assert (gap["need"], gap["count"], rest["count"]) == (UNMET, 7, 5)
    assert gap["labels"]["region"] == "Москва"
    rules = {one["rule"]: one["count"] for one in shown["rules"]}
    assert (rules["no_service"], rules["not_asked_before"]) == (7, None)
    assert shown["median_answer"]["count"] == 600


def test_statement_has_the_own_exact_figures(bench: Workbench) -> None:
    busy_week(bench)
    bench.clock.time = WEEK.end + MADE_AFTER
    reporting(bench).turn()
    own = queries(bench).statement("ru.one", WEEK)
    assert [own[name]["count"] for name in ("asked", "answered", "accepted", "silent")] == [11, 9, 6, 2]
    assert own["declined"]["out_of_area"]["count"] == 3
    other = queries(bench).statement("ru.other", None)
    assert (other["asked"]["count"], other["median_answer"]["count"]) == (0, None)


def test_statement_counts_each_referral_for_which_the_organization_was_passed_over(bench: Workbench) -> None:
    offered(bench)
    excluding = consent(excluded_organizations=("ru.one",))
    for number in range(8):
        bench.take(submitted(new_id(), sender=f"kg.{number}", languages=("tg",)))
    for number in range(6):
        bench.take(submitted(new_id(), sender=f"kg.{number}", consent=excluding, languages=("tg",)))
    bench.take(*(submitted(new_id(), sender="kg.0", consent=excluding) for _ in range(3)))
    bench.clock.time = WEEK.end + dt.timedelta(minutes=5)
    bench.take(*(submitted(new_id(), languages=("tg",)) for _ in range(8)))
    bench.clock.time = WEEK.end + MADE_AFTER
    reporting(bench).turn()
    own = queries(bench).statement("ru.one", WEEK)
    assert (own["asked"]["count"], own["passed_over"]["count"], own["considered"]["count"]) == (1, 17, 18)
    shown = {name: one["count"] for name, one in own["passed_over_by_reason"].items() if one["count"]}
    # The person's choice takes the smallest row, since all others must have one.
    assert shown == {"language": 8, "others": 9}
    other = queries(bench).statement("ru.other", WEEK)
    assert (other["passed_over"]["count"], other["considered"]["withheld"]) == (None, True)


def test_report_is_made_once_the_week_and_its_last_messages_are_over(bench: Workbench) -> None:
    unplaced(bench, 5)
    bench.clock.time = WEEK.end + MADE_AFTER - dt.timedelta(seconds=1)
    with pytest.raises(Refused) as none_yet:
        queries(bench).report(None, "en")
    assert none_yet.value.slug == "not-found"
    reporting(bench).turn()
    assert weeks_stored(bench) == [str(WEEK.before)]
    with pytest.raises(Refused, match="after the end of its week"):
        queries(bench).report(WEEK, "en")
    bench.clock.time += dt.timedelta(seconds=1)
    reporting(bench).turn()
    assert weeks_stored(bench) == [str(WEEK.before), str(WEEK)]
    assert queries(bench).report(WEEK, "en")["totals"]["unplaced"]["count"] == 5


def test_nothing_is_made_before_the_directory_is_complete(bench: Workbench) -> None:
    bench.clock.time = WEEK.end + DAY
    reporting(bench, unready="The directory is being loaded.").turn()
    assert weeks_stored(bench) == []


def test_new_hub_has_the_report_of_last_week(bench: Workbench) -> None:
    reporting(bench).turn()
    shown = queries(bench).report(None, "en")
    assert shown["week"] == str(WEEK.before)
    assert [one["organization"] for one in shown["organizations"]] == [
        *(f"kg.{n}" for n in range(8)),
        SENDER,
        "ru.one",
        None,
    ]


def test_weeks_that_were_missed_are_made_up_for_and_counted_apart(bench: Workbench) -> None:
    unplaced(bench, 5)
    bench.clock.time = NOW + 14 * DAY
    unplaced(bench, 6)
    bench.clock.time = NOW + 21 * DAY
    reporting(bench).turn()
    series = queries(bench).series(SeriesSpan.week, 10)
    assert [one["unplaced"]["count"] for one in series] == [5, None, 6]
    assert weeks_stored(bench) == [str(WEEK), str(WEEK.after), str(WEEK.after.after)]
    (month,) = queries(bench).series(SeriesSpan.month, 10)
    assert month["unplaced"] == {"count": None, "withheld": True, "at_least": 11}


def test_other_greenlets_may_run_between_the_weeks_of_a_series(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report has some thousands of figures, and a series may have hundreds of weeks."""
    bench.clock.time = NOW + 21 * DAY
    reporting(bench).turn()
    counted = count_turns(monkeypatch)
    assert len(queries(bench).series(SeriesSpan.week, 10)) == counted["in_turns"] == len(weeks_stored(bench))


def test_stored_report_stays_when_facts_are_reduced(bench: Workbench) -> None:
    ids = unplaced(bench, 5)
    bench.clock.time = WEEK.end + DAY
    reporting(bench).turn()
    before = queries(bench).report(WEEK, "en")
    revoked = [RevocationSubmitted(referral_id=one, organization=SENDER) for one in ids[:1]]
    bench.take(*(event(one, one.referral_id) for one in revoked))
    ReduceFacts(
        database=bench.database,
        reduction=SqlFactReduction(),
        policy=bench.policy,
        clock=bench.clock,
        kept=90 * DAY,
    ).turn()
    reporting(bench).turn()
    assert queries(bench).report(WEEK, "en") == before


def test_referral_with_reduced_facts_counts_in_its_country_and_group(bench: Workbench) -> None:
    ids = unplaced(bench, 5)
    bench.take(*(event(RevocationSubmitted(referral_id=one, organization=SENDER), one) for one in ids))
    ReduceFacts(
        database=bench.database,
        reduction=SqlFactReduction(),
        policy=bench.policy,
        clock=bench.clock,
        kept=90 * DAY,
    ).turn()
    bench.clock.time = WEEK.end + DAY
    reporting(bench).turn()
    shown = queries(bench).report(WEEK, "en")
    rules = {one["rule"]: one["count"] for one in shown["rules"]}
    assert (shown["gaps"][-1]["count"], rules[None]) == (5, 5)


def test_second_process_leaves_the_first_report(bench: Workbench, database_url: str) -> None:
    unplaced(bench, 5)
    bench.clock.time = WEEK.end + DAY
    with bench.database.read() as transaction:
        events, end = SqlWeekEvents().read(transaction, WEEK, 0, bench.clock.now())
    reporting(bench).turn()
    late = report_of(WEEK, events, ["ru.other"], bench.clock.time, lambda path: 0)
    with bench.database.write() as transaction:
        assert not SqlWeeklyReports().add(transaction, late, {}, end, {})
    assert "ru.one" in [one["organization"] for one in queries(bench).report(WEEK, "en")["organizations"]]


def test_withdrawn_referral_stays_counted_as_unplaced(bench: Workbench) -> None:
    for referral in unplaced(bench, 5):
        withdrawal = WithdrawalSubmitted(
            referral_id=referral, organization=SENDER, reason=WithdrawalReason.person_declined
        )
        bench.take(event(withdrawal, referral))
    bench.clock.time = WEEK.end + DAY
    reporting(bench).turn()
    assert queries(bench).report(WEEK, "en")["totals"]["unplaced"]["count"] == 5


def test_step_of_a_clock_far_ahead_ends_no_week(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(week_events, "_PAGE", 1)
    offered(bench)
    with bench.database.write() as transaction:
        ahead = NOW + dt.timedelta(days=30_000)
        transaction.execute(update(TIMELINE).values(time=ahead))
    unplaced(bench, 5)
    bench.clock.time = WEEK.end + MADE_AFTER
    reporting(bench).turn()
    assert queries(bench).report(WEEK, "en")["totals"]["unplaced"]["count"] == 5

    bench.clock.time = WEEK.end + DAY
    bench.take(*(event(submitted(one, needs=(UNMET,)).data, one, bench.clock.time) for one in _ids(6)))
    bench.clock.time = WEEK.after.end + MADE_AFTER
    reporting(bench).turn()
    assert queries(bench).report(WEEK.after, "en")["totals"]["unplaced"]["count"] == 6


def _ids(count: int) -> list[str]:
    return [new_id() for _ in range(count)]


def test_steps_are_read_by_number(bench: Workbench) -> None:
    with bench.database.read() as transaction:
        if transaction.dialect.name == "postgresql":
            # PostgreSQL would scan this small table. In a large one it chooses the index, which is tested.
            transaction.exec_driver_sql("SET LOCAL enable_seqscan = off")
            transaction.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        explain = "EXPLAIN" if transaction.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        sql = STEPS._postgresql if transaction.dialect.name == "postgresql" else STEPS._sqlite
        plan = transaction.exec_driver_sql(f"{explain} {sql}", (7, 500)).all()
    text = " ".join(str(row) for row in plan)
    assert "timeline_pkey" in text or "INTEGER PRIMARY KEY (rowid>?)" in text
    assert "Sort" not in text
    assert "TEMP B-TREE" not in text


def test_migration_adds_and_drops_the_table(bench: Workbench) -> None:
    with bench.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        migration.downgrade()
        migration.upgrade()
    assert differences("services.routing", bench.database) == []
