"""Request/reply over the broker, with a deadline.

A request is a transient message with the client's private queue in its headers. Without a reply in time the
client raises Unavailable: a 503 over HTTP, never an endless wait and never a bare 500.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from contracts.errors import KopuroError, Refused, Unavailable
from contracts.topology import QUERIES, QUERY_DEADLINE_MS, REPLIES
from runtime.background import Spawn
from runtime.identifiers import new_id
from runtime.messaging.dead_letters.dead_letter import reason_of
from runtime.messaging.ports import Broker, BrokerUnavailable, Delivery, Outgoing

_log = logging.getLogger(__name__)

REPLY_TO = "kopuro-reply-to"
QUESTION = "kopuro-question"
DEADLINE_SECONDS = QUERY_DEADLINE_MS / 1000

_IDLE_SECONDS = 0.5
_NO_REPLY = "The responsible service did not reply in time."


class _Pending:
    __slots__ = ("arrived", "reply")

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.reply: Mapping[str, Any] = {}


class RequestClient:
    """The client side. Any number of threads or greenlets may send requests at once.

    One loop publishes the requests, in waves: a broker that is slow to confirm delays that loop, and no
    caller beyond its own deadline.
    """

    def __init__(
        self,
        broker: Broker,
        service: str,
        *,
        answerers: Collection[str] | None = None,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        """service: the requester's name. answerers: the broker users whose replies it believes; None: any.

        deadline: how long a caller waits, in seconds.
        """
        self._deadline = deadline
        self._answerers = answerers
        self._replies = broker.private_consumer(service)
        self._publisher = broker.publisher()
        self._unsent: deque[Outgoing] = deque()
        self._asked = threading.Event()
        self._pending: dict[str, _Pending] = {}
        self._stopping = False
        self._ended: list[threading.Event] = []

    def ask(self, queue: str, question: Mapping[str, Any]) -> Any:
        """Return the reply as JSON values. Raises the server's Refused, and Unavailable."""
        reply_to = self._replies.name
        if reply_to is None:
            raise Unavailable(_NO_REPLY)
        number = new_id()
        message = Outgoing(
            exchange=QUERIES,
            routing_key=queue,
            message_id=number,
            partition_key="",
            body=orjson.dumps(question),
            headers={REPLY_TO: reply_to, QUESTION: number},
            transient=True,
        )
        pending = self._pending[number] = _Pending()
        try:
            self._unsent.append(message)
            self._asked.set()
            pending.arrived.wait(self._deadline)
        finally:
            del self._pending[number]
        if "refused" in pending.reply:
            raise Refused(**pending.reply["refused"])
        if "answer" not in pending.reply:
            raise Unavailable(_NO_REPLY)
        return pending.reply["answer"]

    def start(self, spawn: Spawn) -> None:
        """Start publishing requests and receiving replies (`runtime.application.Background`)."""
        for work in (self._publish, self._listen):
            ended = threading.Event()
            self._ended.append(ended)
            spawn(partial(self._until_ended, work, ended))

    def stop(self) -> None:
        """Stop both loops and wait until they have ended."""
        self._stopping = True
        self._asked.set()
        for ended in self._ended:
            ended.wait()

    def _until_ended(self, work: Callable[[], None], ended: threading.Event) -> None:
        try:
            work()
        finally:
            ended.set()

    def _publish(self) -> None:
        while not self._stopping:
            self._asked.wait(_IDLE_SECONDS)
            self._asked.clear()
            wave = [self._unsent.popleft() for _ in range(len(self._unsent))]
            # No client waits for a request past its deadline.
            wave = [message for message in wave if message.message_id in self._pending]
            try:
                self._publisher.publish(wave)
                self._publisher.tend()
            except BrokerUnavailable:
                for message in wave:
                    self._settle(message.message_id, {})
        self._publisher.close()

    def _listen(self) -> None:
        pause = threading.Event()
        while not self._stopping:
            try:
                deliveries = self._replies.take(100, _IDLE_SECONDS)
                self._replies.acknowledge(deliveries)
            except BrokerUnavailable:
                pause.wait(_IDLE_SECONDS)
                continue
            for delivery in deliveries:
                if not _is_from(delivery, self._answerers, "reply"):
                    continue
                self._settle(delivery.headers.get(QUESTION, ""), _reply_in(delivery.body))
        self._replies.close()

    def _settle(self, number: str, reply: Mapping[str, Any]) -> None:
        pending = self._pending.get(number)
        # None: the reply came after the deadline, and its client no longer waits
        if pending is not None:
            pending.reply = reply
            pending.arrived.set()


def _reply_in(body: bytes) -> Mapping[str, Any]:
    """Return the reply; an empty one, which counts as no reply, for bytes that are none."""
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        reply = None
    if not isinstance(reply, dict) or not isinstance(reply.get("refused", {}), dict):
        _log.error("unreadable reply ignored")
        return {}
    return reply


class RequestServer:
    """The server side: a `@batches` method calls it with the requests that arrived."""

    def __init__(
        self,
        broker: Broker,
        answer: Callable[[Mapping[str, Any]], Any],
        *,
        askers: Collection[str] | None = None,
    ) -> None:
        """answer: returns the reply to a request as JSON values; may raise Refused.

        askers: the broker users whose requests it answers; None: any.
        """
        self._publisher = broker.publisher()
        self._askers = askers
        self._answer = answer

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Reply to each request. Raises BrokerUnavailable."""
        replies = []
        for delivery in deliveries:
            if not _is_from(delivery, self._askers, "request"):
                continue
            reply_to, number = delivery.headers.get(REPLY_TO), delivery.headers.get(QUESTION)
            if reply_to and number:
                replies.append(
                    Outgoing(
                        exchange=REPLIES,
                        routing_key=reply_to,
                        message_id=new_id(),
                        partition_key="",
                        body=self._reply(delivery.body),
                        headers={QUESTION: number},
                        transient=True,
                    )
                )
        try:
            self._publisher.publish(replies)
        except BrokerUnavailable:
            # No heartbeats are sent between requests, so the broker may have dropped the idle connection.
            self._publisher.publish(replies)

    def _reply(self, body: bytes) -> bytes:
        try:
            return orjson.dumps({"answer": self._answer(orjson.loads(body))}, option=orjson.OPT_UTC_Z)
        except Refused as refused:
            reason = {"slug": refused.slug, "detail": refused.detail, "status": refused.status}
            return orjson.dumps({"refused": reason})
        except KopuroError as error:
            _log.warning("request not answered", extra={"reason": reason_of(error)})
        except Exception as error:  # noqa: BLE001 - one bad request must not stop the others
            _log.error("request failed", extra={"reason": reason_of(error)})
        return b"{}"


def _is_from(delivery: Delivery, users: Collection[str] | None, kind: str) -> bool:
    """Return whether one of the users sent the message; log an error if not. kind: `request` or `reply`."""
    if users is None or delivery.user_id in users:
        return True
    reason = f"sent by {delivery.user_id or 'no user'}"
    _log.error(f"{kind} of another user ignored", extra={"reason": reason})
    return False
