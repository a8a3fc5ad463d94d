"""The loop of `kopuro listen`, on a mailbox in memory and a clock that only attempts move."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kopuro_client.listening.lanes import Lanes
from kopuro_client.listening.listener import Listener
from kopuro_client.listening.target import NotAcceptedError


class Stopped(Exception):
    pass


class Desk:
    """A mailbox, a target and a clock. The target needs a second for each attempt and takes only offers."""

    requested = False

    def __init__(self, refused: int) -> None:
        self.time = 0.0
        self.messages = [
            {"id": f"r{number}", "type": "kopuro.receipt.v1", "partitionkey": f"r{number}"}
            for number in range(refused)
        ]
        self.accepted_at: dict[str, float] = {}

    def mailbox(self, *, after: str | None, limit: int, **_: object) -> Mapping[str, Any]:
        start = int(after or 0)
        items = self.messages[start : start + limit]
        return {"items": items, "resume": str(start + len(items))}

    def acknowledge(self, message_id: str, **_: object) -> None:
        self.accepted_at[message_id] = self.time

    def deliver(self, message: Mapping[str, Any]) -> None:
        self.time += 1
        if self.time > 1000:
            raise Stopped
        if self.time == 300:
            self.messages.append({"id": "emergency", "type": "kopuro.offer.opened.v1", "partitionkey": "e"})
        if "offer" not in message["type"]:
            raise NotAcceptedError("the target answered 422", is_refusal=True)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def interruptible(self) -> AbstractContextManager[None]:
        return nullcontext()


def test_retries_of_refused_messages_do_not_keep_the_mailbox_from_being_read() -> None:
    desk: Any = Desk(refused=200)
    listener = Listener(
        desk, desk, stopping=desk, note=lambda _: None, lanes=Lanes(jitter=lambda: 1), clock=lambda: desk.time
    )
    try:
        listener.run()
    except Stopped:
        pass
    assert 300 < desk.accepted_at["emergency"] < 310
