"""The counts of dead letters are complete, also for those of the broker and during browsing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry

from runtime.messaging.dead_letter_counts import DeadLetterCounts
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.rabbit.broker import RabbitBroker
from sandbox.broker import PrivateBroker
from tests.messaging.test_dead_letters import LONG, DeadLetterBroker

METRIC = "kopuro_messages_parked"
CONSUMERS = ["letters"]


class Watched:
    """The counts of the consumer `letters`, and their metric."""

    def __init__(self, broker: RabbitBroker) -> None:
        self.registry = CollectorRegistry()
        self.counts = DeadLetterCounts(broker.queue_reader(), MessagingMetrics(self.registry).dead_letters)

    def alarm(self) -> str | None:
        self.counts.refresh(CONSUMERS)
        return self.counts.alarm()

    def figure(self) -> float | None:
        return self.registry.get_sample_value(METRIC, {"consumer": "letters"})

    def until(self, condition: Callable[[str | None], bool]) -> str | None:
        deadline = time.monotonic() + LONG
        while not condition(alarm := self.alarm()):
            assert time.monotonic() < deadline, alarm
            time.sleep(0.05)
        return alarm


@pytest.fixture
def letters_broker(vhost: str) -> DeadLetterBroker:
    return DeadLetterBroker(vhost)


@pytest.fixture
def watched(letters_broker: DeadLetterBroker) -> Iterator[Watched]:
    watched = Watched(letters_broker.broker)
    yield watched
    watched.counts.close()


def test_dead_letters_raise_the_alarm_until_they_are_replayed_or_discarded(
    letters_broker: DeadLetterBroker, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    assert watched.alarm() is None
    assert watched.figure() == 0
    letters_broker.park("a", "b")
    alarm = watched.until(bool)
    assert alarm is not None
    assert alarm.startswith("2 dead letters of letters")
    assert "kopuro admin dead-letters list --consumer letters" in alarm
    assert watched.figure() == 2
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert set(errors) == {"dead letters waiting"}
    with letters_broker.dead_letters() as dead_letters:
        dead_letters.replay("letters", "a")
    watched.until(lambda alarm: alarm is not None and alarm.startswith("1 dead letter of"))
    with letters_broker.dead_letters() as dead_letters:
        dead_letters.discard("letters", "b")
    assert watched.until(lambda alarm: alarm is None) is None
    assert watched.figure() == 0


def test_message_dead_lettered_by_broker_raises_alarm(
    letters_broker: DeadLetterBroker, watched: Watched
) -> None:
    letters_broker.exhaust_deliveries("a")
    assert watched.until(bool)
    assert watched.figure() == 1


def test_alarm_stays_while_an_operator_browses(letters_broker: DeadLetterBroker, watched: Watched) -> None:
    letters_broker.park("a", "b", "c")
    watched.until(lambda alarm: alarm is not None and alarm.startswith("3 dead letters of"))
    with letters_broker.browse("letters.parked") as browser:
        assert len(list(browser.messages())) == 3
        for _ in range(3):
            assert (watched.alarm() or "").startswith("3 dead letters of")
    assert (watched.alarm() or "").startswith("3 dead letters of")


def test_alarm_stays_while_the_broker_is_unavailable(own_broker: PrivateBroker) -> None:
    uri = own_broker.add_vhost("counted")
    letters_broker, watched = DeadLetterBroker(uri), Watched(RabbitBroker(uri))
    letters_broker.park("a")
    watched.until(bool)
    own_broker.kill()
    assert (watched.alarm() or "").startswith("1 dead letter of")
    own_broker.start()
    watched.until(bool)
    with letters_broker.dead_letters() as dead_letters:
        dead_letters.discard("letters", "a")
    assert watched.until(lambda alarm: alarm is None) is None
    watched.counts.close()
