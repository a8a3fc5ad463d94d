"""Proof of requests and replies: the service that wrote them, for whom, and when.

Both are signed as facts are (`WaveSigner`): the proof is in the header SIGNED and covers the whole body. The
body therefore contains everything that the reply depends on:

    request: {"to": queue, "reply_to": queue, "reply_key": X25519, "number": id, "asked_at": RFC 3339,
              "query": {...}}
    reply:   {"number": id, "sealed": text}, and sealed in it (`sealed_replies.py`):
             {"result": JSON} or {"refused": {...}} or {}

The reply goes to the private queue that the request's author signed, once: a captured request has no effect.
Neither body is an event, and no event has these members, so a proof of one kind proves no other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from contracts.records import Malformed, read
from runtime.clock import Clock
from runtime.messaging.headers import SIGNED
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.signatures.verifier import NotAuthentic

# Clocks may differ by this much. Nobody waits for the reply to a query that is older than its deadline.
FRESH: Final = dt.timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """to: the queue of the service that is asked; reply_to: the requester's private queue; number: its id.

    reply_key: the requester's public key, to which the reply is sealed.
    """

    to: str
    reply_to: str
    reply_key: str
    number: str
    asked_at: dt.datetime
    query: Mapping[str, Any]

    def encode(self) -> bytes:
        """Return the body of the message."""
        return orjson.dumps(
            {
                "to": self.to,
                "reply_to": self.reply_to,
                "reply_key": self.reply_key,
                "number": self.number,
                "asked_at": self.asked_at,
                "query": self.query,
            },
            option=orjson.OPT_UTC_Z,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Peers:
    """The signer of one service's messages, and the services that it trusts.

    sign: returns the messages with their proofs. author_of: returns the service that signed a body, given its
    proof; raises NotAuthentic. services: the trusted ones; users: their broker users.
    """

    sign: Callable[[Sequence[Outgoing]], list[Outgoing]]
    author_of: Callable[[bytes, str | None], str]
    services: Collection[str]
    users: Collection[str]

    def prove(self, delivery: Delivery) -> None:
        """Check that a trusted service wrote and sent the message. Raises NotAuthentic."""
        if delivery.user_id not in self.users:
            raise NotAuthentic("user", f"sent by {delivery.user_id or 'no user'}")
        author = self.author_of(delivery.body, delivery.headers.get(SIGNED))
        if author not in self.services:
            raise NotAuthentic("source", f"signed by {author}")


class RepliedBefore(Exception):
    """The broker redelivered a request that has its reply: the acknowledgement was lost. Not an attack."""


class RequestProofs:
    """Reads the requests that arrive at one process, each number once."""

    def __init__(self, peers: Peers, clock: Clock) -> None:
        self._peers = peers
        self._clock = clock
        # When each request was read, oldest first. Only genuine requests are remembered.
        self._known: dict[str, dt.datetime] = {}

    def read(self, delivery: Delivery) -> Request:
        """Return the request. Raises NotAuthentic, also for one that was returned before and sent again.

        Raises RepliedBefore for one that was returned before and that the broker delivered again. The broker
        alone sets the mark of a redelivery.
        """
        self._peers.prove(delivery)
        request = _request_in(delivery.body)
        now = self._clock.now()
        if request.to != delivery.queue:
            raise NotAuthentic("address", f"written to the queue {request.to}")
        if abs(now - request.asked_at) > FRESH:
            raise NotAuthentic("stale", f"asked at {request.asked_at.isoformat()}")
        if request.number in self._known:
            if delivery.redelivered:
                raise RepliedBefore
            raise NotAuthentic("replayed", "it has its reply already")
        self._drop_old(now)
        self._known[request.number] = now
        return request

    def forget(self, requests: Iterable[Request]) -> None:
        """Forget these requests, whose replies were not sent: the broker redelivers them."""
        for request in requests:
            self._known.pop(request.number, None)

    def _drop_old(self, now: dt.datetime) -> None:
        # A request may be dated FRESH ahead of this clock, and stays fresh that much longer.
        while self._known:
            number = next(iter(self._known))
            if self._known[number] >= now - 2 * FRESH:
                return
            del self._known[number]


def _request_in(body: bytes) -> Request:
    try:
        return read(Request, orjson.loads(body))
    except (orjson.JSONDecodeError, Malformed):
        raise NotAuthentic("form", "not a request") from None
