"""Questions with a deadline: one service asks another over the broker, and gets an answer or a clear no.

A question is a transient message with the asker's private queue in its headers. Without an answer in time
the asker gets Unavailable: over HTTP a 503, never a wait without end and never a bare 500.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from contracts.errors import KopuroError, Refused, Unavailable
from contracts.topology import DIRECT, QUERY_DEADLINE_MS
from runtime.background import Spawn
from runtime.identifiers import new_id
from runtime.messaging.dead_letters.dead_letter import reason_of
from runtime.messaging.ports import Broker, BrokerUnavailable, Delivery, Outgoing

_log = logging.getLogger(__name__)

REPLY_TO = "kopuro-reply-to"
QUESTION = "kopuro-question"
DEADLINE_SECONDS = QUERY_DEADLINE_MS / 1000

_IDLE_SECONDS = 0.5
_NO_ANSWER = "The service that knows did not answer in time."


class _Pending:
    __slots__ = ("answer", "arrived")

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.answer: Mapping[str, Any] = {}


class RequestClient:
    """The asking side: any number of threads or greenlets may ask at once.

    Their questions are published by one loop, in waves: a broker that is slow to confirm holds up that
    loop, and no asker beyond its own deadline.
    """

    def __init__(self, broker: Broker, *, deadline: float = DEADLINE_SECONDS) -> None:
        """deadline: how long an asker waits, in seconds."""
        self._deadline = deadline
        self._answers = broker.private_consumer()
        self._publisher = broker.publisher()
        self._unsent: deque[Outgoing] = deque()
        self._asked = threading.Event()
        self._pending: dict[str, _Pending] = {}
        self._stopping = False
        self._ended: list[threading.Event] = []

    def ask(self, queue: str, question: Mapping[str, Any]) -> Any:
        """The answer, as JSON values. Raises Refused as the answerer did, and Unavailable."""
        reply_to = self._answers.name
        if reply_to is None:
            raise Unavailable(_NO_ANSWER)
        number = new_id()
        message = Outgoing(
            exchange=DIRECT,
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
        if "refused" in pending.answer:
            raise Refused(**pending.answer["refused"])
        if "answer" not in pending.answer:
            raise Unavailable(_NO_ANSWER)
        return pending.answer["answer"]

    def start(self, spawn: Spawn) -> None:
        """Begins to publish questions and to listen for answers (`runtime.application.Background`)."""
        for work in (self._publish, self._listen):
            ended = threading.Event()
            self._ended.append(ended)
            spawn(partial(self._until_ended, work, ended))

    def stop(self) -> None:
        """Stops both, and waits for their ends."""
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
            # Nobody waits any more for what is past its deadline.
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
                deliveries = self._answers.take(100, _IDLE_SECONDS)
                self._answers.acknowledge(deliveries)
            except BrokerUnavailable:
                pause.wait(_IDLE_SECONDS)
                continue
            for delivery in deliveries:
                self._settle(delivery.headers.get(QUESTION, ""), orjson.loads(delivery.body))
        self._answers.close()

    def _settle(self, number: str, answer: Mapping[str, Any]) -> None:
        pending = self._pending.get(number)
        # None: the answer came after its deadline, and nobody waits for it any more
        if pending is not None:
            pending.answer = answer
            pending.arrived.set()


class RequestServer:
    """The answering side: what a `@batches` method calls with the questions that arrived."""

    def __init__(self, broker: Broker, answer: Callable[[Mapping[str, Any]], Any]) -> None:
        """answer: from a question to JSON values; may raise Refused."""
        self._publisher = broker.publisher()
        self._answer = answer

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Answers each question that still has somebody waiting. Raises BrokerUnavailable."""
        replies = []
        for delivery in deliveries:
            reply_to, number = delivery.headers.get(REPLY_TO), delivery.headers.get(QUESTION)
            if reply_to and number:
                replies.append(
                    Outgoing(
                        exchange=DIRECT,
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
            # Between questions nobody tends this connection: the broker may have dropped it as idle.
            self._publisher.publish(replies)

    def _reply(self, body: bytes) -> bytes:
        try:
            return orjson.dumps({"answer": self._answer(orjson.loads(body))}, option=orjson.OPT_UTC_Z)
        except Refused as refused:
            reason = {"slug": refused.slug, "detail": refused.detail, "status": refused.status}
            return orjson.dumps({"refused": reason})
        except KopuroError as error:
            _log.warning("question not answered", extra={"reason": reason_of(error)})
        except Exception as error:  # noqa: BLE001 - one bad question must not stop the others
            _log.error("question failed", extra={"reason": reason_of(error)})
        return b"{}"
