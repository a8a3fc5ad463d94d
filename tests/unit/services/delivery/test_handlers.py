from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import update

from contracts.errors import Refused
from contracts.facts import DeliveryAcknowledged, DeliveryDelivered
from runtime.storage import pruning
from services.delivery import handlers
from services.delivery.adapters.tables import MESSAGES
from services.delivery.domain.recipients import shared_mailboxes
from services.delivery.handlers import KEPT
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    CORRELATION,
    REFERRAL,
    SENDER,
    STRANGER,
    Workbench,
    declined,
    opened,
    released_case,
    released_note,
    unplaced,
    withdrawn,
)

LONG = 20.0


def test_pages_join_without_gap_or_repetition(bench: Workbench) -> None:
    offers = [opened() for _ in range(7)]
    bench.receive(*offers)
    seen: list[bytes] = []
    after = 0
    while (page := bench.partner.page(ACCEPTOR, after=after, limit=3, wait=0)).bodies:
        seen += page.bodies
        after = page.last
    assert seen == [offer.encode() for offer in offers]


@pytest.mark.parametrize(("limit", "more"), [(2, True), (3, False), (50, False)])
def test_page_shows_whether_more_messages_are_waiting(bench: Workbench, limit: int, more: bool) -> None:
    bench.receive(opened(), opened(), opened())
    assert bench.partner.page(ACCEPTOR, after=0, limit=limit, wait=0).more is more


def test_page_cut_by_its_size_shows_that_more_messages_are_waiting(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "PAGE_SIZE", 1)
    bench.receive(opened(), opened())
    page = bench.partner.page(ACCEPTOR, after=0, limit=50, wait=0)
    assert (len(page.bodies), page.more) == (1, True)


# --- the coordinators' mailbox -----------------------------------------------------------------------

ONE, OTHER = "kg.coordinator", "kg.second-coordinator"
SHARED = shared_mailboxes({"coordinator"})


def test_coordinators_share_one_mailbox_and_one_acknowledgement_counts_for_all(bench: Workbench) -> None:
    first, second = unplaced(), unplaced()
    bench.receive(first, second)
    for coordinator in (ONE, OTHER):
        assert [m["id"] for m in bench.mailbox(coordinator, shared=SHARED)] == [first.id, second.id]
    bench.partner.acknowledge(ONE, first.id, shared=SHARED)
    assert [m["id"] for m in bench.mailbox(OTHER, shared=SHARED)] == [second.id]
    assert [m["id"] for m in bench.mailbox(SENDER)] == [first.id, second.id]


def test_partner_neither_reads_nor_acknowledges_the_coordinators_mailbox(bench: Workbench) -> None:
    message = unplaced()
    bench.receive(message)
    assert shared_mailboxes({"partner", "operator", "auditor"}) == ()
    assert bench.mailbox(STRANGER) == []
    with pytest.raises(Refused, match="does not contain this message"):
        bench.partner.acknowledge(STRANGER, message.id)


def test_coordinator_reads_own_and_shared_mailbox_in_order_page_by_page(bench: Workbench) -> None:
    messages = [unplaced(), opened(ONE), unplaced(), unplaced(), opened(ONE), opened(ONE), unplaced()]
    bench.receive(*messages)
    seen: list[bytes] = []
    after, more = 0, True
    while more:
        page = bench.partner.page(ONE, after=after, limit=2, wait=0, shared=SHARED)
        seen += page.bodies
        after, more = page.last, page.more
    assert seen == [message.encode() for message in messages]


def test_message_in_own_and_shared_mailbox_is_acknowledged_in_both(bench: Workbench) -> None:
    message = unplaced()
    bench.receive(message)
    assert len(bench.mailbox(SENDER, shared=SHARED)) == 2
    bench.partner.acknowledge(SENDER, message.id, shared=SHARED)
    assert bench.mailbox(SENDER, shared=SHARED) == []


def test_coordinator_waiting_at_the_mailbox_is_woken_by_a_shared_message(bench: Workbench) -> None:
    with ThreadPoolExecutor() as pool:
        polled = pool.submit(lambda: bench.mailbox(ONE, wait=LONG, shared=SHARED))
        assert bench.waited_for.wait(LONG)
        message = unplaced()
        bench.receive(message)
        assert [m["id"] for m in polled.result(timeout=LONG / 2)] == [message.id]


def test_acknowledged_message_is_not_returned_again(bench: Workbench) -> None:
    first, second, third = opened(), opened(), opened()
    bench.receive(first, second, third)
    bench.mailbox(ACCEPTOR)
    bench.partner.acknowledge(ACCEPTOR, second.id)
    bench.partner.acknowledge(ACCEPTOR, second.id)
    assert [m["id"] for m in bench.mailbox(ACCEPTOR)] == [first.id, third.id]


def test_delivery_and_acknowledgement_of_offer_are_recorded_once(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    for _ in range(2):
        bench.mailbox(ACCEPTOR)
    for _ in range(2):
        bench.partner.acknowledge(ACCEPTOR, offer.id)
    about = {
        "referral_id": REFERRAL,
        "organization": ACCEPTOR,
        "message_id": offer.id,
        "message_type": "kopuro.offer.opened.v1",
    }
    assert [e.data for e in bench.sent()] == [DeliveryDelivered(**about), DeliveryAcknowledged(**about)]
    assert {(e.correlation_id, e.causation_id, e.partition_key) for e in bench.sent()} == {
        (CORRELATION, offer.id, REFERRAL)
    }


def test_delivery_is_recorded_for_case_but_not_for_other_notices(bench: Workbench) -> None:
    case, note, notice = released_case(to=SENDER), released_note(), declined()
    bench.receive(case, note, notice)
    bench.mailbox(SENDER)
    for message in (case, note, notice):
        bench.partner.acknowledge(SENDER, message.id)
    assert [(type(e.data), e.data.message_id) for e in bench.sent()] == [  # type: ignore[attr-defined]
        (DeliveryDelivered, case.id),
        (DeliveryAcknowledged, case.id),
    ]
    assert bench.states() == ["acknowledged"] * 3


def test_only_returned_messages_are_delivered(bench: Workbench) -> None:
    bench.receive(opened(), opened())
    bench.mailbox(ACCEPTOR, limit=1)
    assert bench.states() == ["delivered", "queued"]
    assert len(bench.sent()) == 1


def test_batch_acknowledgement_returns_result_for_each_id(bench: Workbench) -> None:
    first, second = opened(), opened()
    bench.receive(first, second)
    bench.mailbox(ACCEPTOR)
    done, refused, again = bench.partner.acknowledge_all(ACCEPTOR, [first.id, "no-such-id", first.id])
    assert (done, again) == (True, True)
    assert isinstance(refused, Refused)
    assert refused.slug == "not-found"
    assert [m["id"] for m in bench.mailbox(ACCEPTOR)] == [second.id]


def test_message_of_other_organization_cannot_be_acknowledged(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    bench.mailbox(ACCEPTOR)
    for message_id in (offer.id, "no-such-id", "x" * 500):
        with pytest.raises(Refused) as refused:
            bench.partner.acknowledge(STRANGER, message_id)
        assert refused.value.slug == "not-found"
    assert bench.states() == ["delivered"]


def test_recorded_message_never_delivered_cannot_be_acknowledged(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    with pytest.raises(Refused) as refused:
        bench.partner.acknowledge(ACCEPTOR, offer.id)
    assert refused.value.slug == "conflict"
    assert bench.states() == ["queued"]
    assert bench.sent() == []


def test_notice_stores_acknowledgement_but_not_delivery(bench: Workbench) -> None:
    seen, unseen = declined(), declined()
    bench.receive(seen, unseen)
    assert len(bench.mailbox(SENDER, limit=1)) == 1
    assert bench.states() == ["queued", "queued"]
    # Undelivered notices can be acknowledged, because their delivery is not stored.
    assert bench.partner.acknowledge_all(SENDER, [seen.id, unseen.id, seen.id]) == [True, True, True]
    assert bench.states() == ["acknowledged", "acknowledged"]
    assert bench.mailbox(SENDER) == []
    assert bench.sent() == []


def test_poll_of_notices_only_writes_nothing(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.receive(declined())
    monkeypatch.setattr(bench.database, "write", None)
    assert len(bench.mailbox(SENDER)) == 1


def test_delivered_notice_of_earlier_version_can_be_acknowledged(bench: Workbench) -> None:
    notice = declined()
    bench.receive(notice)
    with bench.database.write() as transaction:
        transaction.execute(update(MESSAGES).values(state="delivered"))
    assert [m["id"] for m in bench.mailbox(SENDER)] == [notice.id]
    bench.partner.acknowledge(SENDER, notice.id)
    assert bench.states() == ["acknowledged"]


def test_concurrent_polls_and_acknowledgements_publish_each_fact_once(bench: Workbench) -> None:
    offers = [opened() for _ in range(20)]
    bench.receive(*offers)
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: bench.mailbox(ACCEPTOR), range(8)))
        list(pool.map(lambda o: bench.partner.acknowledge(ACCEPTOR, o.id), offers + offers))
    assert all(len(page) == 20 for page in pages)
    published = [(type(e.data), e.causation_id) for e in bench.sent()]
    assert len(published) == len(set(published)) == 40


def test_page_is_bounded_in_bytes_but_never_empty(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = [released_note(note="a.b.c." + "d" * 1000 + ".e") for _ in range(3)]
    bench.receive(*notes)
    size = len(bench.partner.page(SENDER, after=0, limit=1, wait=0).bodies[0])
    for bound, expected in ((1, 1), (2 * size + 1, 2), (3 * size, 3)):
        monkeypatch.setattr(handlers, "PAGE_SIZE", bound)
        assert len(bench.mailbox(SENDER)) == expected


def test_waiting_poll_is_woken_by_new_message(bench: Workbench) -> None:
    offer = opened()
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(bench.mailbox, ACCEPTOR, wait=LONG)
        assert bench.waited_for.wait(LONG)
        bench.receive(opened(STRANGER))
        assert not poll.done()
        bench.receive(offer)
        assert [m["id"] for m in poll.result(LONG / 2)] == [offer.id]


def test_waiting_poll_ends_when_its_caller_may_no_longer_read(bench: Workbench) -> None:
    def reauthorize() -> None:
        if excluded:
            raise Refused("forbidden", "Excluded.")

    excluded: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(
            bench.partner.page, ACCEPTOR, after=0, limit=50, wait=LONG, reauthorize=reauthorize
        )
        assert bench.waited_for.wait(LONG)
        bench.notifier.wake()
        assert not poll.done()
        excluded.append(ACCEPTOR)
        bench.notifier.wake()
        with pytest.raises(Refused):
            poll.result(LONG / 2)
    bench.receive(opened())
    assert bench.states() == ["queued"]


def test_waiting_poll_is_woken_by_message_of_another_process(bench: Workbench, database_url: str) -> None:
    other = Workbench(database_url)
    with ThreadPoolExecutor(1) as pool:
        bench.notifier.poll()
        poll = pool.submit(bench.mailbox, ACCEPTOR, wait=LONG)
        assert bench.waited_for.wait(LONG)
        other.receive(opened())
        bench.notifier.poll()
        assert len(poll.result(LONG / 2)) == 1
    other.database.close()


def test_waiting_polls_end_when_process_stops(bench: Workbench) -> None:
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(bench.mailbox, ACCEPTOR, wait=LONG)
        assert bench.waited_for.wait(LONG)
        bench.notifier.stop()
        assert poll.result(LONG / 2) == []
        assert pool.submit(bench.mailbox, ACCEPTOR, wait=LONG).result(LONG / 2) == []


def test_poll_ends_at_its_timeout(bench: Workbench) -> None:
    assert bench.mailbox(ACCEPTOR, wait=0.01) == []


def test_pruning_deletes_expired_rows_only(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 2)
    old = [opened() for _ in range(5)]
    bench.receive(*old, opened())
    bench.mailbox(ACCEPTOR)
    bench.receive(withdrawn())
    for offer in old:
        bench.partner.acknowledge(ACCEPTOR, offer.id)
    bench.clock.time += KEPT
    bench.partner.forget_old()
    assert len(bench.states()) == 8
    bench.clock.time += dt.timedelta(seconds=1)
    bench.partner.forget_old()
    assert bench.states() == ["delivered", "queued", "queued"]


def test_sequence_is_not_reused_after_deletion(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    last = bench.partner.page(ACCEPTOR, after=0, limit=1, wait=0).last
    bench.partner.acknowledge(ACCEPTOR, offer.id)
    bench.clock.time += KEPT + dt.timedelta(seconds=1)
    bench.partner.forget_old()
    assert bench.states() == []
    bench.receive(replace(opened(), time=bench.clock.time))
    assert len(bench.mailbox(ACCEPTOR, after=last)) == 1


def test_sequences_become_visible_in_order(postgres_database: str) -> None:
    bench = Workbench(postgres_database)
    appended, go_on = threading.Event(), threading.Event()

    def slow_writer() -> None:
        with bench.database.write() as transaction:
            bench.mailboxes.serialise(transaction)
            appended.set()
            go_on.wait(LONG)

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(slow_writer)
        assert appended.wait(LONG)
        fast = pool.submit(bench.receive, opened())
        with pytest.raises(TimeoutError):
            fast.result(0.2)
        go_on.set()
        slow.result(LONG)
        fast.result(LONG)
    assert len(bench.mailbox(ACCEPTOR)) == 1
    bench.database.close()
