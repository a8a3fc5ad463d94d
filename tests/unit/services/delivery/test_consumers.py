"""Reading again, filters by type and named consumers, on SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, func, select

from contracts.envelope import Event
from contracts.errors import Refused
from contracts.facts import Fact
from runtime.storage.sql_statement import SqlStatement
from services.delivery.adapters import mailboxes
from services.delivery.adapters.mailboxes import _BY_CONSUMER, _NEWER, _SELECT, LAST
from services.delivery.adapters.report_closings import _OPTED_OUT
from services.delivery.adapters.tables import CONSUMER_ACKNOWLEDGEMENTS, MESSAGES
from services.delivery.domain.consumer import MOST_CONSUMERS, NamedConsumer
from services.delivery.domain.selection import Selection, types_of
from services.delivery.handlers import KEPT
from tests.support.turns import count_turns
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    NOW,
    SENDER,
    STRANGER,
    Workbench,
    opened,
    released_case,
    withdrawn,
)

LONG = 20.0
AGAIN = Selection(again=True)
STATISTICS = Selection(consumer="statistics")
OFFERS, CASES = types_of(["offer.opened"]), types_of(["case.released"])


def ids(bench: Workbench, selection: Selection, *, after: int = 0) -> list[str]:
    return [m["id"] for m in bench.mailbox(ACCEPTOR, selection=selection, after=after)]


def sequences(bench: Workbench) -> list[int]:
    with bench.database.read() as transaction:
        return list(transaction.execute(select(MESSAGES.c.sequence).order_by(MESSAGES.c.sequence)).scalars())


def create(bench: Workbench, name: str = "statistics", **settings: object) -> None:
    bench.consumers.put(ACCEPTOR, name, **{"types": (), "contract": "1", "start": None, **settings})  # type: ignore[arg-type]


def acknowledge(bench: Workbench, *messages: Event[Fact], consumer: str = "statistics") -> None:
    done = [m.id for m in messages]
    assert list(bench.consumers.acknowledge_all(ACCEPTOR, consumer, done)) == [True] * len(done)


def test_start_alone_moves_consumer_and_keeps_its_settings(bench: Workbench) -> None:
    first, second = opened(), released_case()
    bench.receive(first, second)
    create(bench, types=("offer.opened",))
    assert ids(bench, STATISTICS) == [first.id]
    acknowledge(bench, first)
    assert ids(bench, STATISTICS) == []
    moved, waiting_since = bench.consumers.put(
        ACCEPTOR, "statistics", types=None, contract=None, start=NOW - dt.timedelta(days=1)
    )
    assert (moved.types, moved.contract, moved.position) == (("offer.opened",), "1", 0)
    assert waiting_since is not None
    assert ids(bench, STATISTICS) == [first.id]
    all_types, _ = bench.consumers.put(ACCEPTOR, "statistics", types=(), contract=None, start=None)
    assert all_types.types == ()


def test_acknowledged_messages_are_read_again_with_same_bytes_from_a_time_and_a_cursor(
    bench: Workbench,
) -> None:
    old, first, second = opened(), opened(), released_case()
    bench.receive(old)
    bench.clock.time += dt.timedelta(hours=1)
    bench.receive(first, second)
    before = bench.partner.page(ACCEPTOR, after=0, limit=50, wait=0)
    bench.partner.acknowledge_all(ACCEPTOR, [old.id, first.id, second.id])
    assert bench.mailbox(ACCEPTOR) == []
    recovered = bench.partner.page(
        ACCEPTOR, after=0, limit=50, wait=0, selection=AGAIN, since=NOW + dt.timedelta(hours=1)
    )
    assert recovered.bodies == before.bodies[1:]
    later = bench.partner.page(ACCEPTOR, after=sequences(bench)[1], limit=50, wait=0, selection=AGAIN)
    assert later.bodies == before.bodies[2:]


def test_reading_again_records_nothing_and_takes_nothing_from_the_mailbox(bench: Workbench) -> None:
    first, second = opened(), opened()
    bench.receive(first, second)
    bench.mailbox(ACCEPTOR)
    bench.partner.acknowledge(ACCEPTOR, first.id)
    recorded = len(bench.sent())
    assert ids(bench, AGAIN) == [first.id, second.id]
    assert len(bench.sent()) == recorded
    assert [m["id"] for m in bench.mailbox(ACCEPTOR)] == [second.id]
    assert bench.mailbox(STRANGER, selection=AGAIN) == []


def test_first_delivery_by_reading_again_is_recorded(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    ids(bench, AGAIN)
    assert [event.data.message_id for event in bench.sent()] == [offer.id]  # type: ignore[attr-defined]


def test_closed_message_is_read_again_as_the_same_closed_message(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    bench.mailbox(ACCEPTOR)
    bench.receive(withdrawn())
    first = bench.partner.page(ACCEPTOR, after=0, limit=1, wait=0, selection=AGAIN)
    bench.partner.acknowledge(ACCEPTOR, offer.id)
    again = bench.partner.page(ACCEPTOR, after=0, limit=1, wait=0, selection=AGAIN)
    assert again.bodies == first.bodies
    assert b"kopuro.message.closed.v1" in first.bodies[0]
    assert offer.encode() not in again.bodies


def test_filter_by_type_returns_only_these_messages_and_passes_the_others(bench: Workbench) -> None:
    offer, case, last = opened(), released_case(), opened()
    bench.receive(offer, case, last)
    assert ids(bench, Selection(types=CASES)) == [case.id]
    assert ids(bench, Selection(types=OFFERS)) == [offer.id, last.id]
    assert ids(bench, Selection(again=True, types=OFFERS | CASES)) == [offer.id, last.id, case.id]
    none = bench.partner.page(
        ACCEPTOR, after=0, limit=5, wait=0, selection=Selection(types=types_of(["note.delivered"]))
    )
    assert (none.bodies, none.last) == ([], sequences(bench)[-1])


def test_no_cursor_or_position_counts_the_messages_of_others(bench: Workbench) -> None:
    """A past candidate could tell from them when the hub sent something about the referral."""

    def seen() -> list[object]:
        none = types_of(["note.delivered"])
        polled = [
            bench.partner.page(STRANGER, after=after, limit=5, wait=0, selection=selection, since=since).last
            for after in (0, 10**15)
            for selection in (Selection(types=none), Selection(again=True, types=none))
            for since in (None, bench.clock.time + dt.timedelta(days=1))
        ]
        starts = (10**15, bench.clock.time + dt.timedelta(days=1))
        consumers = [
            bench.consumers.put(STRANGER, "c", types=(), contract=None, start=start) for start in starts
        ]
        return [*polled, *(consumer.position for consumer, _ in consumers)]

    before = seen()
    bench.receive(*(opened() for _ in range(5)))
    assert seen() == before


def test_other_requests_run_while_a_rare_type_is_looked_for(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite one statement would hold the process until it has read the whole mailbox."""
    monkeypatch.setattr(mailboxes, "WINDOW", 3)
    case, offers = released_case(), [opened() for _ in range(10)]
    bench.receive(*offers, case)
    create(bench, types=("case.released",))
    counted = count_turns(monkeypatch)
    for selection in (Selection(types=CASES), Selection(again=True, types=CASES), STATISTICS):
        assert ids(bench, selection) == [case.id]
        assert counted.pop("_selected") == 11 // 3
    ((_, waiting_since),) = bench.consumers.all_of(ACCEPTOR)
    assert waiting_since is not None
    assert counted.pop("_first_needed") == 11 // 3


@pytest.mark.parametrize("window", [1, 2, 5])
def test_selection_is_the_same_whatever_the_window(
    bench: Workbench, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "WINDOW", window)
    sent = [released_case() if number % 3 == 1 else opened() for number in range(8)]
    bench.receive(*sent)
    cases = [one.id for one in sent[1::3]]
    assert ids(bench, Selection(types=CASES)) == cases
    create(bench, types=("case.released",))
    acknowledge(bench, sent[4])
    assert ids(bench, STATISTICS) == [one for one in cases if one != sent[4].id]
    page = bench.partner.page(ACCEPTOR, after=0, limit=1, wait=0, selection=Selection(types=CASES))
    assert page.more
    assert ids(bench, Selection(types=CASES), after=page.last) == cases[1:]


def test_poll_with_a_filter_waits_through_messages_of_other_types(bench: Workbench) -> None:
    with ThreadPoolExecutor() as pool:
        polled = pool.submit(lambda: bench.mailbox(ACCEPTOR, wait=LONG, selection=Selection(types=CASES)))
        assert bench.waited_for.wait(LONG)
        case = released_case()
        bench.receive(opened())
        bench.receive(case)
        assert [m["id"] for m in polled.result(timeout=LONG / 2)] == [case.id]


def test_each_consumer_has_its_own_acknowledgements_and_the_default_stays_as_it_was(
    bench: Workbench,
) -> None:
    first, second, third = opened(), opened(), opened()
    bench.receive(first, second, third)
    create(bench)
    create(bench, "archive")
    everything = [first.id, second.id, third.id]
    assert ids(bench, STATISTICS) == everything
    recorded = len(bench.sent())
    acknowledge(bench, first, second)
    acknowledge(bench, first)  # idempotent
    assert ids(bench, STATISTICS) == [third.id]
    assert ids(bench, Selection(consumer="archive")) == everything
    assert [m["id"] for m in bench.mailbox(ACCEPTOR)] == everything
    assert len(bench.sent()) == recorded, "audit records what the default consumer acknowledges"
    bench.partner.acknowledge_all(ACCEPTOR, everything)
    assert ids(bench, Selection(consumer="archive")) == everything


def test_message_that_waits_for_a_repair_is_returned_until_it_is_acknowledged(bench: Workbench) -> None:
    poison, *rest = messages = [opened() for _ in range(5)]
    bench.receive(*messages)
    create(bench)
    ids(bench, STATISTICS)
    acknowledge(bench, *reversed(rest))
    assert ids(bench, STATISTICS) == [poison.id]
    acknowledge(bench, poison)
    assert ids(bench, STATISTICS) == []
    with bench.database.read() as transaction:
        kept = transaction.execute(select(func.count()).select_from(CONSUMER_ACKNOWLEDGEMENTS)).scalar_one()
        consumer = bench.consumers_stored.one(transaction, ACCEPTOR, "statistics")
    assert (kept, consumer and consumer.position) == (0, sequences(bench)[-1])


def test_consumer_of_a_rare_type_passes_messages_of_other_types(bench: Workbench) -> None:
    bench.receive(opened(), released_case())
    create(bench, types=("case.released",))
    (case,) = bench.mailbox(ACCEPTOR, selection=STATISTICS)
    bench.receive(opened(), opened())
    assert bench.consumers.acknowledge_all(ACCEPTOR, "statistics", [case["id"]]) == [True]
    ((consumer, waiting_since),) = bench.consumers.all_of(ACCEPTOR)
    assert (consumer.position, waiting_since) == (sequences(bench)[-1], None)


def test_consumer_starts_at_a_time_or_after_a_cursor_and_can_be_moved_back(bench: Workbench) -> None:
    old, new = opened(), opened()
    bench.receive(old)
    bench.clock.time += dt.timedelta(hours=1)
    bench.receive(new)
    create(bench, start=NOW + dt.timedelta(hours=1))
    assert ids(bench, STATISTICS) == [new.id]
    acknowledge(bench, new)
    create(bench, start=0)
    assert ids(bench, STATISTICS) == [old.id, new.id]
    create(bench, types=("offer.opened",))
    assert ids(bench, STATISTICS) == [old.id, new.id], "without a start the position stays"
    create(bench, start=2**50)
    later = opened()
    bench.receive(later)
    assert ids(bench, STATISTICS) == [later.id], "a start above the newest message skips none to come"


def test_message_that_was_never_delivered_cannot_be_acknowledged_by_a_consumer(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    create(bench)
    undelivered, unknown = bench.consumers.acknowledge_all(
        ACCEPTOR, "statistics", [offer.id, "01930f6e-0000-7000-8000-000000000000"]
    )
    assert isinstance(undelivered, Refused)
    assert isinstance(unknown, Refused)
    assert (undelivered.slug, unknown.slug) == ("conflict", "not-found")
    assert ids(bench, STATISTICS) == [offer.id]


def test_unknown_consumer_is_refused_everywhere(bench: Workbench) -> None:
    create(bench)
    for attempt in (
        lambda: bench.mailbox(SENDER, selection=STATISTICS),
        lambda: bench.mailbox(ACCEPTOR, selection=Selection(consumer="other")),
        lambda: bench.consumers.acknowledge_all(SENDER, "statistics", []),
        lambda: bench.consumers.remove(SENDER, "statistics"),
    ):
        with pytest.raises(Refused, match="no consumer of this name") as refused:
            attempt()
        assert refused.value.slug == "not-found"


def test_organization_has_a_limited_number_of_consumers(bench: Workbench) -> None:
    for number in range(MOST_CONSUMERS):
        create(bench, f"c{number}")
    with pytest.raises(Refused, match="at most 10 consumers"):
        create(bench, "one-more")
    create(bench, "c0", types=("offer.opened",))
    bench.consumers.remove(ACCEPTOR, "c1")
    create(bench, "one-more")
    assert len(bench.consumers.all_of(ACCEPTOR)) == MOST_CONSUMERS
    assert bench.consumers.all_of(SENDER) == []


def test_message_that_a_consumer_needs_outlasts_its_time_and_goes_when_it_is_acknowledged(
    bench: Workbench,
) -> None:
    first, second = opened(), opened()
    bench.receive(first, second)
    create(bench)
    ids(bench, STATISTICS)
    bench.partner.acknowledge_all(ACCEPTOR, [first.id, second.id])
    acknowledge(bench, second)
    bench.clock.time += KEPT + dt.timedelta(seconds=1)
    assert bench.partner.forget_old()
    assert ids(bench, AGAIN) == [first.id]
    bench.clock.time += dt.timedelta(hours=23)
    bench.partner.forget_old()
    acknowledge(bench, first)
    bench.partner.forget_old()
    assert ids(bench, AGAIN) == [first.id], "it is looked at once a day"
    bench.clock.time += dt.timedelta(hours=2)
    bench.partner.forget_old()
    assert ids(bench, AGAIN) == []


def test_needed_messages_do_not_keep_others_from_being_deleted(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.storage.pruning.ROWS_AT_ONCE", 2)
    messages = [opened() for _ in range(6)]
    others = [opened(SENDER) for _ in range(3)]
    bench.receive(*messages, *others)
    create(bench)
    bench.mailbox(ACCEPTOR)
    bench.mailbox(SENDER)
    bench.partner.acknowledge_all(ACCEPTOR, [m.id for m in messages])
    bench.clock.time += dt.timedelta(seconds=1)
    bench.partner.acknowledge_all(SENDER, [m.id for m in others])
    bench.clock.time += KEPT + dt.timedelta(seconds=1)
    assert bench.partner.forget_old()
    assert len(ids(bench, AGAIN)) == 6
    assert bench.mailbox(SENDER, selection=AGAIN) == []


def test_concurrent_acknowledgements_of_a_consumer_lose_none(bench: Workbench) -> None:
    messages = [opened() for _ in range(12)]
    bench.receive(*messages)
    create(bench)
    ids(bench, STATISTICS)
    together = threading.Barrier(4)

    def some(number: int) -> None:
        together.wait(LONG)
        for message in messages[number::4]:
            acknowledge(bench, message)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(some, range(4)))
    assert ids(bench, STATISTICS) == []
    with bench.database.read() as transaction:
        assert (
            transaction.execute(select(func.count()).select_from(CONSUMER_ACKNOWLEDGEMENTS)).scalar_one() == 0
        )


@pytest.fixture
def full(bench: Workbench) -> Workbench:
    """Acknowledged messages of many organisations."""
    with bench.database.write() as transaction:
        rows = [
            {
                "organization": organization,
                "message_id": f"{organization}-{number}",
                "type": "kopuro.case.released.v1",
                "referral_id": "r",
                "correlation_id": "c",
                "body": b"{}",
                "state": "acknowledged",
                "queued_at": NOW,
                "acknowledged_at": NOW,
                "forget_after": NOW,
            }
            for number in range(40)
            for organization in (ACCEPTOR, *(f"kg.organization-{other}" for other in range(60)))
        ]
        transaction.execute(MESSAGES.insert(), rows)
    if bench.database.engine.dialect.name == "postgresql":
        with bench.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
    return bench


def test_reading_again_and_for_a_consumer_goes_by_index(full: Workbench) -> None:
    create(full)
    plans = []
    with full.database.read() as transaction:
        sqlite = transaction.dialect.name == "sqlite"
        for which in (_BY_CONSUMER, ""):
            statement = _SELECT[which, False]
            text = statement._sqlite if sqlite else statement._postgresql
            values = [ACCEPTOR, *(["statistics"] if which else []), 1000, LAST, 51]
            explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN (COSTS OFF)"
            rows = transaction.exec_driver_sql(f"{explain} {text}", tuple(values))
            plans.append("\n".join(row[-1] for row in rows))
    for plan in plans:
        assert "mailbox_messages_all" in plan
        assert "SCAN mailbox_messages" not in plan
        assert "Seq Scan on mailbox_messages" not in plan
        assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(("statement", "given"), [(_NEWER, (1000, 500)), (_OPTED_OUT, ("opted_out", 500))])
def test_work_that_recurs_every_second_reads_no_mailbox_as_a_whole(
    full: Workbench, statement: SqlStatement, given: tuple[object, ...]
) -> None:
    if full.database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by its statistics")
    with full.database.read() as transaction:
        rows = transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement._sqlite}", given)
        plan = "\n".join(row[-1] for row in rows)
    assert "SEARCH mailbox_messages" in plan
    assert "SCAN mailbox_messages" not in plan


def test_search_for_new_messages_continues_where_it_stopped(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "MOST_NEW", 2)
    bench.receive(opened(), released_case(), opened())
    store = mailboxes.SqlMailboxes()
    with bench.database.read() as transaction:
        reached, named = store.newer_than(transaction, 0)
        assert (reached, named) == (2, [ACCEPTOR])
        assert store.newer_than(transaction, reached) == (3, [ACCEPTOR])
        assert store.newer_than(transaction, 3) == (3, [])


def test_message_arrives_while_the_first_one_that_waits_for_a_new_consumer_is_looked_for(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting_since = bench.consumers_stored.waiting_since
    arrived: list[bool] = []

    def after_arrival(transaction: Connection, consumer: NamedConsumer) -> dt.datetime | None:
        arriving = threading.Thread(target=lambda: bench.receive(opened()), daemon=True)
        arriving.start()
        arriving.join(3)
        arrived.append(not arriving.is_alive())
        return waiting_since(transaction, consumer)

    monkeypatch.setattr(bench.consumers_stored, "waiting_since", after_arrival)
    create(bench)
    assert arrived == [True]
