"""The updater of a window: copies in order, proofs, erasure, revocation, and a broker that comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import Unavailable
from services.gateway.domain.window import CAPACITY
from services.gateway.gateway_metrics import GatewayMetrics
from services.gateway.ports import MailboxMessage, UserConflict
from services.gateway.window_updater import (
    ERASURE_SECONDS,
    IDLE_WAIT,
    LONGEST_PROOF_WAIT,
    PASSWORD_PAUSE,
    WindowUpdater,
)
from tests.unit.services.gateway.doubles import OSH, BrokerInMemory, HubInMemory, message


@dataclass
class Bench:
    hub: HubInMemory = field(default_factory=HubInMemory)
    broker: BrokerInMemory = field(default_factory=BrokerInMemory)
    time: float = 0.0
    replaced: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.updater = self.restarted()

    def restarted(self) -> WindowUpdater:
        self.updater = WindowUpdater(
            OSH,
            hub=self.hub,
            queues=self.broker,
            users=self.broker,
            metrics=GatewayMetrics(CollectorRegistry()),
            clock=lambda: self.time,
            password_replaced=self.replaced.append,
        )
        return self.updater

    def arrive(self, number: int) -> None:
        start = len(self.hub.mailbox)
        self.hub.mailbox += [message(start + n) for n in range(number)]

    def turns(self, number: int = 1) -> float:
        pause = 0.0
        for _ in range(number):
            self.time += 1
            pause = self.updater.turn()
        return pause

    def consume(self, number: int = CAPACITY) -> list[str]:
        delivered = self.broker.deliver(number)
        self.broker.acknowledge(*delivered)
        return delivered

    def prove(self) -> None:
        for _ in range(4):
            self.broker.recount()
            self.turns()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def ids(messages: Sequence[MailboxMessage]) -> list[str]:
    return [one.id for one in messages]


def test_waiting_messages_are_copied_in_the_order_of_the_mailbox(bench: Bench) -> None:
    bench.arrive(3)
    bench.turns(2)
    bench.arrive(2)
    bench.turns(2)
    assert ids(bench.broker.ready) == ["m0", "m1", "m2", "m3", "m4"]
    assert bench.broker.ready[0].body == bench.hub.mailbox[0].body


def test_access_is_given_after_the_hub_admits_and_the_queue_is_emptied(bench: Bench) -> None:
    bench.broker.ready = [message(99)]
    bench.turns()
    assert bench.broker.log == ["emptied", "granted"]


def test_organization_without_an_admitted_client_gets_no_access(bench: Bench) -> None:
    bench.hub.admitted = False
    bench.arrive(1)
    assert bench.turns() > 0
    assert bench.broker.users == {OSH: False}
    assert bench.broker.ready == []
    assert "granted" not in bench.broker.log


def test_queue_holds_no_more_than_the_capacity_and_is_filled_again(bench: Bench) -> None:
    bench.arrive(CAPACITY + 300)
    bench.turns(10)
    assert len(bench.broker.ready) == CAPACITY
    seen = bench.consume()
    bench.turns(10)
    seen += bench.consume()
    assert seen == ids(bench.hub.mailbox)


def test_acknowledged_messages_are_acknowledged_in_the_mailbox_once_the_queue_is_empty(bench: Bench) -> None:
    bench.arrive(3)
    bench.turns(2)
    delivered = bench.broker.deliver(3)
    bench.broker.acknowledge(delivered[2], delivered[1])
    bench.prove()
    assert bench.hub.acknowledged == set()
    bench.broker.acknowledge(delivered[0])
    bench.prove()
    assert bench.hub.acknowledged == {"m0", "m1", "m2"}


def test_consumer_that_has_gone_leaves_only_what_it_did_not_acknowledge(bench: Bench) -> None:
    bench.arrive(4)
    bench.turns(2)
    delivered = bench.broker.deliver(3)
    bench.broker.acknowledge(delivered[1])
    bench.broker.ready = [*bench.broker.held, *bench.broker.ready]  # its connection ends
    bench.broker.held = []
    bench.prove()
    assert bench.hub.acknowledged == {"m1"}
    assert bench.broker.log.count("looked at") == 1
    assert ids(bench.broker.ready) == ["m0", "m2", "m3"]


def test_browser_does_not_take_messages_from_a_consumer(bench: Bench) -> None:
    bench.broker.consumers = 1
    bench.arrive(3)
    bench.turns(2)
    bench.consume(1)
    bench.prove()
    assert "looked at" not in bench.broker.log


def test_message_acknowledged_over_http_is_not_copied(bench: Bench) -> None:
    bench.arrive(3)
    bench.hub.acknowledged.add("m1")
    bench.turns(2)
    assert ids(bench.broker.ready) == ["m0", "m2"]


def test_proof_that_the_hub_did_not_store_is_stored_later(bench: Bench) -> None:
    bench.arrive(1)
    bench.turns(2)
    bench.consume()
    bench.hub.available = False
    bench.prove()
    assert bench.hub.acknowledged == set()
    bench.hub.available = True
    bench.prove()
    assert bench.hub.acknowledged == {"m0"}


def test_restarted_gateway_repeats_what_is_not_proved_and_loses_nothing(bench: Bench) -> None:
    bench.arrive(4)
    bench.turns(2)
    bench.broker.acknowledge(*bench.broker.deliver(2)[:1])  # m0 is done, m1 is at the consumer
    bench.restarted()
    bench.turns(2)
    assert ids(bench.broker.ready) == ["m0", "m1", "m2", "m3"]
    assert bench.hub.acknowledged == set()


def test_queue_that_was_lost_is_filled_again_and_proves_nothing(bench: Bench) -> None:
    bench.arrive(2)
    bench.turns(2)
    bench.broker.reconnect(lost=True)
    bench.broker.recount()
    bench.turns(1)
    bench.broker.recount()
    bench.turns(3)
    assert bench.hub.acknowledged == set()
    assert ids(bench.broker.ready) == ["m0", "m1"]


def test_partly_copied_page_is_continued_without_repetition(bench: Bench) -> None:
    bench.arrive(10)
    bench.broker.capacity = 4
    bench.turns(2)
    assert ids(bench.broker.ready) == ["m0", "m1", "m2", "m3"]
    bench.consume()
    bench.broker.capacity = CAPACITY
    bench.turns(2)
    assert ids(bench.broker.ready) == ["m4", "m5", "m6", "m7", "m8", "m9"]


def test_closed_message_leaves_the_queue_with_its_content(bench: Bench) -> None:
    # Half a minute with the longest wait while a copy is in the queue.
    assert ERASURE_SECONDS + LONGEST_PROOF_WAIT <= 30
    bench.arrive(3)
    bench.turns(2)
    bench.hub.close_message(1)
    bench.time += ERASURE_SECONDS
    bench.turns(3)
    assert ids(bench.broker.ready) == ["m0", "m1", "m2"]
    assert bench.broker.ready[1].is_closed
    assert bench.broker.log.count("emptied") == 2
    bench.time += ERASURE_SECONDS
    bench.turns(3)
    assert bench.broker.log.count("emptied") == 2, "a closed copy is deleted"


def test_closed_message_that_was_acknowledged_repeats_nothing(bench: Bench) -> None:
    bench.arrive(3)
    bench.turns(2)
    bench.consume(2)
    bench.hub.close_message(1)
    bench.time += ERASURE_SECONDS
    bench.turns(3)
    assert ids(bench.broker.ready) == ["m2"]
    assert bench.broker.log.count("emptied") == 1


def test_closed_message_that_its_consumer_gives_back_leaves_the_queue(bench: Bench) -> None:
    bench.arrive(3)
    bench.turns(2)
    bench.broker.deliver(2)
    bench.hub.close_message(1)
    bench.time += ERASURE_SECONDS
    bench.turns(2)
    assert bench.broker.log.count("emptied") == 1
    bench.broker.ready = [*bench.broker.held, *bench.broker.ready]
    bench.broker.held = []
    bench.time += ERASURE_SECONDS
    bench.turns(3)
    assert ids(bench.broker.ready) == ["m0", "m1", "m2"]
    assert bench.broker.ready[1].is_closed


def test_content_that_was_with_a_consumer_while_the_queue_was_emptied_leaves_it_later(bench: Bench) -> None:
    bench.arrive(3)
    bench.turns(2)
    bench.broker.deliver(1)
    bench.hub.close_message(0)
    bench.hub.close_message(1)
    bench.time += ERASURE_SECONDS
    bench.turns(3)
    assert bench.broker.log.count("emptied") == 2
    bench.broker.ready = [*bench.broker.held, *bench.broker.ready]
    bench.broker.held = []
    assert [one.is_closed for one in bench.broker.ready] == [False, True, True, False]
    bench.turns(3)
    assert ids(bench.broker.ready) == ["m0", "m1", "m2"]
    assert [one.is_closed for one in bench.broker.ready] == [True, True, False]
    bench.time += ERASURE_SECONDS
    bench.turns(3)
    assert bench.broker.log.count("emptied") == 3, "nothing else is repeated"


def test_content_of_an_earlier_process_leaves_the_queue_once_its_consumer_gives_it_back(bench: Bench) -> None:
    bench.arrive(2)
    bench.turns(2)
    bench.broker.deliver(1)
    bench.hub.close_message(0)
    bench.restarted()
    bench.turns(2)
    bench.broker.ready = [*bench.broker.held, *bench.broker.ready]
    bench.broker.held = []
    bench.turns(3)
    assert [(one.id, one.is_closed) for one in bench.broker.ready] == [("m0", True), ("m1", False)]


def test_revoked_organization_loses_access_and_its_queue_is_emptied(bench: Bench) -> None:
    bench.arrive(2)
    bench.turns(2)
    bench.hub.admitted = False
    bench.turns()
    assert bench.broker.users == {OSH: False}
    assert bench.broker.ready == []
    assert not bench.updater.is_open
    bench.turns(3)
    assert bench.broker.log.count("withdrawn") == 1


def test_readmitted_organization_gets_access_and_every_message_again(bench: Bench) -> None:
    bench.arrive(2)
    bench.turns(2)
    bench.hub.admitted = False
    bench.turns(2)
    bench.hub.admitted = True
    bench.turns(2)
    assert bench.broker.users == {OSH: True}
    assert ids(bench.broker.ready) == ["m0", "m1"]


def test_withdrawal_that_the_broker_did_not_do_is_repeated(bench: Bench) -> None:
    bench.turns(2)
    bench.hub.admitted = False
    bench.broker.available = False
    bench.turns(2)
    bench.broker.available = True
    bench.turns(2)
    assert bench.broker.users == {OSH: False}


def test_queue_of_an_organization_that_lost_its_access_while_the_gateway_was_down_is_emptied(
    bench: Bench,
) -> None:
    bench.broker.ready = [message(0)]
    bench.broker.users = {OSH: True}
    bench.hub.admitted = False
    bench.turns()
    assert bench.broker.users == {OSH: False}
    assert bench.broker.ready == []


def test_organization_that_is_readmitted_after_half_a_withdrawal_gets_its_rights_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.arrive(1)
    bench.turns(2)
    bench.hub.admitted = False

    def fail(_organization: str) -> int:
        raise Unavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(bench.broker, "begin", fail)
        bench.turns()
    assert bench.broker.users == {OSH: False}
    bench.hub.admitted = True
    bench.turns(2)
    assert bench.broker.users == {OSH: True}


def test_user_that_somebody_else_has_made_meanwhile_ends_no_window_work(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.turns(2)
    bench.hub.admitted = False

    def conflict(organization: str) -> None:
        raise UserConflict(organization)

    monkeypatch.setattr(bench.broker, "withdraw", conflict)
    assert bench.turns() > 0


def test_full_queue_does_not_hide_a_revocation(bench: Bench) -> None:
    bench.arrive(2 * CAPACITY)
    bench.turns(10)
    assert len(bench.broker.ready) == CAPACITY
    bench.hub.admitted = False
    bench.turns()
    assert bench.broker.users == {OSH: False}


def test_full_queue_hides_no_revocation_while_nobody_says_whether_a_password_waits(bench: Bench) -> None:
    bench.arrive(2 * CAPACITY)
    bench.turns(10)
    bench.hub.directory_available = False
    bench.turns()
    bench.hub.admitted = False
    bench.turns()
    assert bench.broker.users == {OSH: False}


def test_hub_that_is_down_ends_no_access(bench: Bench) -> None:
    bench.arrive(1)
    bench.turns(2)
    bench.hub.available = False
    assert bench.turns() > 0
    assert bench.broker.users == {OSH: True}
    with pytest.raises(Unavailable):
        bench.hub.require_admitted(OSH)


def test_gateway_waits_long_only_while_nothing_is_unproved(bench: Bench) -> None:
    bench.turns(2)
    assert bench.hub.waits[-1] == IDLE_WAIT
    bench.arrive(1)
    bench.turns(2)
    assert bench.hub.waits[-1] < IDLE_WAIT


def test_new_password_is_applied_and_reported_to_the_hub(bench: Bench) -> None:
    bench.turns()
    bench.hub.new_passwords.append("first")
    bench.turns(3)
    assert bench.broker.passwords == ["first"]
    assert bench.hub.applied_passwords == ["first"]


def test_new_password_that_the_broker_could_not_take_is_applied_later(bench: Bench) -> None:
    bench.turns()
    bench.hub.new_passwords.append("first")
    bench.broker.takes_passwords = False
    bench.arrive(2)
    bench.turns(2)
    # The window continues meanwhile.
    assert ids(bench.broker.ready) == ["m0", "m1"]
    assert (bench.hub.applied_passwords, bench.replaced) == ([], [])
    bench.broker.takes_passwords = True
    bench.time += PASSWORD_PAUSE
    bench.turns()
    assert bench.hub.applied_passwords == bench.broker.passwords == ["first"]
    assert bench.replaced == [OSH]


def test_password_that_waits_is_applied_before_the_organization_gets_in(bench: Bench) -> None:
    """It may replace the password of a client that was revoked meanwhile."""
    bench.hub.new_passwords.append("unknown")
    bench.broker.takes_passwords = False
    bench.turns(2)
    assert "granted" not in bench.broker.log
    bench.broker.takes_passwords = True
    bench.turns()
    assert bench.broker.passwords == ["unknown"]
    assert bench.broker.log[-1] == "granted"


def test_password_that_was_replaced_before_it_could_be_applied_is_never_applied(bench: Bench) -> None:
    bench.hub.new_passwords.append("of a thief")
    bench.broker.takes_passwords = False
    bench.turns(2)
    bench.hub.new_passwords[:] = ["unknown"]
    bench.broker.takes_passwords = True
    bench.turns(2)
    assert bench.broker.passwords == ["unknown"]


def test_window_works_while_the_directory_does_not_answer_about_passwords(bench: Bench) -> None:
    bench.turns()
    bench.hub.directory_available = False
    bench.arrive(2)
    bench.turns(2)
    assert ids(bench.broker.ready) == ["m0", "m1"]
    bench.hub.new_passwords.append("first")
    bench.hub.directory_available = True
    bench.time += PASSWORD_PAUSE
    bench.turns()
    assert bench.hub.applied_passwords == ["first"]


def test_messages_held_when_the_password_is_replaced_are_delivered_again(bench: Bench) -> None:
    bench.arrive(3)
    bench.turns(2)
    bench.broker.deliver(2)
    bench.hub.new_passwords.append("first")
    bench.turns()
    assert bench.consume() == ["m0", "m1", "m2"]
