"""The loop of `kopuro listen`, on a mailbox in memory and a clock that only attempts move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from kopuro_client.errors import Problem, RefusedError
from kopuro_client.listening.lanes import MOST_HELD, Lanes
from kopuro_client.listening.listener import Listener
from kopuro_client.listening.target import NotAcceptedError

# Each held message has been refused at least once by then.
ARRIVES_AT = MOST_HELD + 100


class Stopped(Exception):
    pass


class Desk:
    """A mailbox, a target and a clock. The target needs a second for each attempt and takes only offers."""

    requested = False
    reads_offers = True

    def __init__(self, refused: int) -> None:
        self.time = 0.0
        self.messages = [
            {"id": f"r{number}", "type": "kopuro.receipt.v1", "partitionkey": f"r{number}"}
            for number in range(refused)
        ]
        self.accepted_at: dict[str, float] = {}

    def mailbox(
        self, *, after: str | None, limit: int, types: Sequence[str], **_: object
    ) -> Mapping[str, Any]:
        if types and not self.reads_offers:
            raise RefusedError(
                Problem(type="urn:kopuro:problem:invalid-parameter", title="Invalid", status=400)
            )
        start = int(after or 0)
        found = [
            (number, message)
            for number, message in enumerate(self.messages[start:], start + 1)
            if message["id"] not in self.accepted_at
            and (not types or any(name in message["type"] for name in types))
        ][:limit]
        return {"items": [message for _, message in found], "resume": str(found[-1][0]) if found else after}

    def acknowledge(self, message_id: str, **_: object) -> None:
        self.accepted_at[message_id] = self.time

    def deliver(self, message: Mapping[str, Any]) -> None:
        self.time += 1
        if self.time > ARRIVES_AT + 100:
            raise Stopped
        if self.time == ARRIVES_AT:
            self.messages.append({"id": "emergency", "type": "kopuro.offer.opened.v1", "partitionkey": "e"})
        if "offer" not in message["type"]:
            raise NotAcceptedError("the target answered 422", is_refusal=True)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def interruptible(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.parametrize("refused", [200, MOST_HELD + 500], ids=["with-room", "without-room"])
def test_refused_messages_do_not_keep_an_emergency_from_being_read(refused: int) -> None:
    desk: Any = Desk(refused)
    listener = Listener(
        desk,
        desk,
        stopping=desk,
        note=lambda _: None,
        lost=float,
        lanes=Lanes(jitter=lambda: 1),
        clock=lambda: desk.time,
    )
    with pytest.raises(Stopped):
        listener.run()
    assert list(desk.accepted_at) == ["emergency"]
    assert ARRIVES_AT < desk.accepted_at["emergency"] < ARRIVES_AT + 10


def test_full_listener_of_a_consumer_that_reads_no_offers_continues() -> None:
    desk: Any = Desk(MOST_HELD + 1)
    desk.reads_offers = False
    with pytest.raises(Stopped):
        Listener(desk, desk, stopping=desk, note=lambda _: None, lost=float, clock=lambda: desk.time).run()
    assert desk.accepted_at == {}


class HubWithOutages(Desk):
    """A mailbox that answers each read after an outage and the time for which it was asked to wait."""

    def __init__(self, *reads: tuple[float, str | None]) -> None:
        """reads: for each read the seconds of the outage, and the id of the message that it returns."""
        super().__init__(0)
        self.reads = iter(reads)
        self.lost = 0.0
        self.waits: list[int] = []

    def mailbox(
        self, *, after: str | None, limit: int, types: Sequence[str], wait: Any = 0, **_: object
    ) -> Mapping[str, Any]:
        self.waits.append(wait)
        outage, found = next(self.reads)
        self.lost += outage
        self.time += outage + wait
        items = [] if found is None else [{"id": found, "type": "kopuro.offer.opened.v1"}]
        return {"items": items, "resume": None}

    def deliver(self, message: Mapping[str, Any]) -> None:
        pass


def test_outage_does_not_count_as_time_without_a_message() -> None:
    hub: Any = HubWithOutages((300.0, None), (0.0, "late"), (44.0, None), (0.0, None))
    listener = Listener(
        hub, hub, stopping=hub, note=lambda _: None, lost=lambda: hub.lost, clock=lambda: hub.time
    )
    listener.run(quiet_for=45.0)
    assert list(hub.accepted_at) == ["late"]
    assert hub.waits == [30, 15, 30, 15]
