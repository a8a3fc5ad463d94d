"""Request/reply over the broker, with a deadline.

A request is a transient message that names the client's private queue. Both sides sign what they send
(`signatures.requests`), and neither accepts anything else. So a thief of a broker password alone can send
neither requests nor replies. Replies are sealed to the process that asked (`signatures.sealed_replies`), so a
broker password does not open them. Without a reply in time the client raises Unavailable: a 503 over HTTP,
never an endless wait and never a bare 500.
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
from contracts.topology import QUERIES, QUERY_DEADLINE_MS, REPLIES
from runtime.background import Spawn
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.dead_letters.dead_letter import reason_of
from runtime.messaging.ports import Broker, BrokerUnavailable, Delivery, Outgoing
from runtime.messaging.rare_warnings import RareWarnings
from runtime.messaging.signatures.requests import Peers, RepliedBefore, Request, RequestProofs
from runtime.messaging.signatures.sealed_replies import ReplyOpener, ReplySealer, ReplyUnopened
from runtime.messaging.signatures.verifier import NotAuthentic

_log = logging.getLogger(__name__)

DEADLINE_SECONDS = QUERY_DEADLINE_MS / 1000

# Between two looks at an idle connection, which sends its heartbeats then.
_IDLE_SECONDS = 2.5
_PAUSE_SECONDS = 0.5  # after a failure
_NO_REPLY = "The responsible service did not reply in time."
_TOO_LARGE = Refused(
    "response-too-large", "The hub cannot send a reply of this size from one service to another."
)


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
        peers: Peers,
        clock: Clock,
        refused: Callable[[str], None] = lambda check: None,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        """service: the requester's name. peers: signs its requests, and proves the replies to them.

        refused: called with the failed check of each reply that is not authentic. deadline: how long a caller
        waits, in seconds.
        """
        self._deadline = deadline
        self._peers = peers
        self._clock = clock
        self._refused = refused
        self._opener = ReplyOpener()
        self._warnings = RareWarnings(_log, "reply not authentic", clock)
        self._replies = broker.private_consumer(service)
        self._publisher = broker.publisher()
        self._unsent: deque[Outgoing] = deque()
        self._asked = threading.Event()
        self._pending: dict[str, _Pending] = {}
        self._stopping = False
        self._ended: list[threading.Event] = []

    def ask(self, queue: str, query: Mapping[str, Any]) -> Any:
        """Return the reply as JSON values. Raises the server's Refused, and Unavailable.

        Raises Refused `body-too-large` for a request that the broker would not take.
        """
        reply_to = self._replies.name
        if reply_to is None:
            raise Unavailable(_NO_REPLY)
        number = new_id()
        request = Request(
            to=queue,
            reply_to=reply_to,
            reply_key=self._opener.key,
            number=number,
            asked_at=self._clock.now(),
            query=query,
        )
        message = Outgoing(
            exchange=QUERIES,
            routing_key=queue,
            message_id=number,
            partition_key="",
            body=request.encode(),
            transient=True,
        )
        if message.is_too_large:
            raise Refused("body-too-large", "The request is too large to be forwarded inside the hub.")
        pending = self._pending[number] = _Pending()
        try:
            self._unsent.append(message)
            self._asked.set()
            pending.arrived.wait(self._deadline)
        finally:
            del self._pending[number]
        if "refused" in pending.reply:
            raise Refused(**pending.reply["refused"])
        if "result" not in pending.reply:
            raise Unavailable(_NO_REPLY)
        return pending.reply["result"]

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
        self._replies.end_waiting()
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
                self._publisher.publish(self._peers.sign(wave))
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
                pause.wait(_PAUSE_SECONDS)
                continue
            for delivery in deliveries:
                try:
                    self._peers.prove(delivery)
                except NotAuthentic as fault:
                    self._warnings.warn(fault.check, str(fault))
                    self._refused(fault.check)
                    continue
                self._settle(*_reply_in(delivery.body, self._opener))
        self._replies.close()

    def _settle(self, number: str, reply: Mapping[str, Any]) -> None:
        pending = self._pending.get(number)
        # None: the reply came after the deadline, and its client no longer waits
        if pending is not None:
            pending.reply = reply
            pending.arrived.set()


def _reply_in(body: bytes, opener: ReplyOpener) -> tuple[str, Mapping[str, Any]]:
    """Return the request's number and the reply.

    An empty reply, which counts as none, for bytes that cannot be read.
    """
    number = ""
    try:
        message = orjson.loads(body)
        if isinstance(message, dict) and isinstance(message.get("number"), str):
            number = message["number"]
            reply = orjson.loads(opener.open(message["sealed"], number))
            if isinstance(reply, dict) and isinstance(reply.get("refused", {}), dict):
                return number, reply
    except (orjson.JSONDecodeError, ReplyUnopened, KeyError, TypeError, AttributeError):
        pass
    _log.error("malformed reply ignored")
    return number, {}


class RequestServer:
    """The server side: a `@batches` method calls it with the requests that arrived."""

    def __init__(
        self,
        broker: Broker,
        handle: Callable[[Mapping[str, Any]], Any],
        *,
        peers: Peers,
        clock: Clock,
        refused: Callable[[str], None] = lambda check: None,
        too_large: Callable[[], None] = lambda: None,
    ) -> None:
        """handle: returns the result of a query as JSON values; may raise Refused.

        peers: proves the requests, and signs the replies to them. refused: called with the failed check of
        each request that is not authentic. too_large: called for each reply that the broker would not take;
        that request is refused as `response-too-large`, and the others get their replies.
        """
        self._publisher = broker.publisher()
        self._handle = handle
        self._peers = peers
        self._proofs = RequestProofs(peers, clock)
        self._sealer = ReplySealer()
        self._refused = refused
        self._warnings = RareWarnings(_log, "request not authentic", clock)
        self._too_large = too_large

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Reply to each authentic request. The others get no reply. Raises BrokerUnavailable."""
        requests = self._authentic(deliveries)
        replies = self._peers.sign([reply for one in requests if (reply := self._reply_to(one)) is not None])
        try:
            try:
                self._publisher.publish(replies)
            except BrokerUnavailable:
                # No heartbeats are sent between requests, so the broker may have dropped the idle connection.
                self._publisher.publish(replies)
        except BrokerUnavailable:
            self._proofs.forget(requests)
            raise

    def _authentic(self, deliveries: Sequence[Delivery]) -> list[Request]:
        requests = []
        for delivery in deliveries:
            try:
                requests.append(self._proofs.read(delivery))
            except RepliedBefore:
                continue
            except NotAuthentic as fault:
                self._warnings.warn(fault.check, str(fault))
                self._refused(fault.check)
        return requests

    def _reply_to(self, request: Request) -> Outgoing | None:
        """Return the sealed reply; None for a request whose key cannot be used."""
        try:
            reply = self._sealed(request, self._reply(request))
            if reply.is_too_large:
                # The broker would close the channel, and nobody would get a reply.
                _log.error(
                    "reply too large",
                    extra={"bytes": len(reply.body), "query": request.query.get("ask")},
                )
                self._too_large()
                reply = self._sealed(request, _refusal(_TOO_LARGE))
        except ValueError:
            _log.error("request names a key that cannot be used")
            return None
        return reply

    def _sealed(self, request: Request, reply: bytes) -> Outgoing:
        sealed = self._sealer.seal(reply, request.reply_key, request.number)
        return Outgoing(
            exchange=REPLIES,
            routing_key=request.reply_to,
            message_id=new_id(),
            partition_key="",
            body=orjson.dumps({"number": request.number, "sealed": sealed}),
            transient=True,
        )

    def _reply(self, request: Request) -> bytes:
        reply: dict[str, Any] = {}
        try:
            return orjson.dumps({"result": self._handle(request.query)}, option=orjson.OPT_UTC_Z)
        except Refused as refused:
            return _refusal(refused)
        except KopuroError as error:
            _log.warning("request not answered", extra={"reason": reason_of(error)})
        except Exception as error:  # noqa: BLE001 - one bad request must not stop the others
            _log.error("request failed", extra={"reason": reason_of(error)})
        return orjson.dumps(reply)


def _refusal(refused: Refused) -> bytes:
    reason = {"slug": refused.slug, "detail": refused.detail, "status": refused.status}
    return orjson.dumps({"refused": reason})
