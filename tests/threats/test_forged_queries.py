"""A thief of intake's broker password asks routing about referrals, and gets no reply.

The queries go to a running hub. The thief does not have intake's signing key.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import amqp
import orjson
import pytest

from admin.embedded_broker import BrokerFiles, BrokerIdentity
from contracts.jose import decoded
from contracts.queries import OfferQuery, PartyQuery, Query, ReferralListQuery, ReferralQuery
from contracts.signatures import SigningKey
from contracts.topology import QUERIES, REPLIES, ROUTING_QUERIES
from kopuro_client import UnavailableError
from runtime.identifiers import new_id
from runtime.messaging.outbox.wave_signer import WaveSigner
from runtime.messaging.ports import Outgoing, PrivateConsumer, Publisher
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.signatures.requests import FRESH, Request
from runtime.messaging.signatures.sealed_replies import ReplyOpener, ReplyUnopened
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

REFERRAL = "wage-claim-osh-moscow"
METRIC = "kopuro_messages_not_authentic_total"


@dataclass(frozen=True)
class Asker:
    """The thief's connection as intake's user. replies: its private queue; opener: its key pair."""

    publisher: Publisher
    replies: PrivateConsumer
    opener: ReplyOpener = field(default_factory=ReplyOpener)

    def request(self, query: Query, **changes: Any) -> Request:
        """Return a request that is answered to the thief."""
        assert self.replies.name is not None
        request = Request(
            to=ROUTING_QUERIES,
            reply_to=self.replies.name,
            reply_key=self.opener.key,
            number=new_id(),
            asked_at=datetime.now(UTC),
            query=query.wire(),
        )
        return replace(request, **changes)

    def publish(self, message: Outgoing) -> None:
        self.publisher.publish([message])

    def reply(self, seconds: float) -> Any:
        """Return the next reply; None: none came."""
        replies = self.replies.take(1, seconds)
        self.replies.acknowledge(replies)
        return orjson.loads(replies[0].body) if replies else None


def password_of(hub: RunningHub, service: str) -> tuple[str, int]:
    """Return the stolen password of a service at the broker, and the broker's port."""
    identity = BrokerFiles(root=hub.files.directory / "broker").identity
    of_broker = BrokerIdentity.from_json(identity.read_text(encoding="utf-8"))
    return of_broker.passwords[service], of_broker.amqp_port


def broker_as(hub: RunningHub, service: str) -> RabbitBroker:
    password, port = password_of(hub, service)
    return RabbitBroker(f"amqp://kg.{service}:{password}@127.0.0.1:{port}/kopuro", service=service)


@pytest.fixture
def asker(hub: RunningHub) -> Iterator[Asker]:
    broker = broker_as(hub, "intake")
    with closing(broker.private_consumer("intake")) as replies, closing(broker.publisher()) as publisher:
        replies.take(1, 0.1)  # declares the queue
        yield Asker(publisher, replies)


def message_of(body: bytes) -> Outgoing:
    return Outgoing(
        exchange=QUERIES,
        routing_key=ROUTING_QUERIES,
        message_id=new_id(),
        partition_key="",
        body=body,
        transient=True,
    )


def signed_by(hub: RunningHub, service: str, request: Request) -> Outgoing:
    key = json.loads(hub.files.key(f"service-{service}").read_text(encoding="utf-8"))
    (message,) = WaveSigner(SigningKey(key, STATEMENT_TYPE)).sign([message_of(request.encode())])
    return message


def refusals(hub: RunningHub, check: str) -> float:
    metrics = hub.operations("routing", "/metrics").text
    series = f'{METRIC}{{check="{check}",consumer="{ROUTING_QUERIES}"}} '
    (value,) = [line.removeprefix(series) for line in metrics.splitlines() if line.startswith(series)]
    return float(value)


@contextmanager
def refused(hub: RunningHub, asker: Asker, check: str) -> Iterator[None]:
    """Assert that routing refuses the one message that is sent inside, and sends the thief nothing."""
    before = refusals(hub, check)
    yield
    until(lambda: refusals(hub, check) == before + 1, f"the refusal: {check}")
    assert asker.reply(0.5) is None


QUERIES_ABOUT_A_REFERRAL: dict[str, Callable[[str], Query]] = {
    "referrals": lambda _: ReferralListQuery(viewer="nobody", oversight=True, limit=100),
    "referral": lambda one: ReferralQuery(id=one, viewer="nobody", oversight=True),
    "own referral": lambda one: ReferralQuery(id=one, viewer="kg.osh-legal-aid", oversight=False),
    "party": lambda one: PartyQuery(id=one, organization="kg.osh-legal-aid"),
    "offer": lambda one: OfferQuery(id=one),
}


@pytest.mark.parametrize("kind", QUERIES_ABOUT_A_REFERRAL)
def test_request_with_the_brokers_password_alone_gets_no_reply(
    hub: RunningHub, asker: Asker, kind: str
) -> None:
    sender, referral_id = hub.submit(REFERRAL)
    query = QUERIES_ABOUT_A_REFERRAL[kind](referral_id)
    with refused(hub, asker, "unsigned"):
        asker.publish(message_of(asker.request(query).encode()))
    with refused(hub, asker, "source"):
        asker.publish(signed_by(hub, "audit", asker.request(query)))
    assert "request not authentic" in hub.logs()
    assert "kg.osh-legal-aid" not in "".join(
        line for line in hub.logs().splitlines() if "request not authentic" in line
    )
    # intake's own queries pass
    assert sender.hub.referral(referral_id)["id"] == referral_id


def test_request_of_an_earlier_build_gets_no_reply(hub: RunningHub, asker: Asker) -> None:
    query = ReferralListQuery(viewer="nobody", oversight=True, limit=100)
    headers = {"kopuro-reply-to": asker.request(query).reply_to, "kopuro-question": new_id()}
    with refused(hub, asker, "unsigned"):
        asker.publish(replace(message_of(orjson.dumps(query.wire())), headers=headers))


def test_captured_request_gets_one_reply_and_only_to_its_requester(hub: RunningHub, asker: Asker) -> None:
    query = ReferralListQuery(viewer="nobody", oversight=True, limit=100)
    captured = asker.request(query)
    genuine = signed_by(hub, "intake", captured)
    asker.publish(genuine)
    # The control: only the signature makes the difference. A thief of intake's key too still reads.
    reply = asker.reply(10)
    assert reply["number"] == captured.number
    opened = orjson.loads(asker.opener.open(reply["sealed"], captured.number))
    assert isinstance(opened["result"], list)
    with refused(hub, asker, "replayed"):
        asker.publish(genuine)
    elsewhere = asker.request(query, number=new_id(), reply_to="intake.replies.0")
    diverted = replace(elsewhere, reply_to=captured.reply_to)
    with refused(hub, asker, "digest"):
        asker.publish(replace(signed_by(hub, "intake", elsewhere), body=diverted.encode()))


@pytest.mark.parametrize("age", [FRESH * 2, -FRESH * 2])
def test_stale_request_gets_no_reply(hub: RunningHub, asker: Asker, age: timedelta) -> None:
    query = ReferralListQuery(viewer="nobody", oversight=True, limit=100)
    with refused(hub, asker, "stale"):
        request = asker.request(query, asked_at=datetime.now(UTC) - age)
        asker.publish(signed_by(hub, "intake", request))


def test_passwords_of_intake_and_routing_together_open_no_reply(hub: RunningHub) -> None:
    """Routing's shows where replies go, and intake's gets copies of them."""
    sender, referral_id = hub.submit(REFERRAL)
    until(lambda: sender.hub.referral(referral_id)["offers"] or None, "the offers")
    with ThreadPoolExecutor(1) as pool:
        stop = threading.Event()

        def read_again_and_again() -> None:
            while not stop.is_set():
                with contextlib.suppress(UnavailableError):
                    sender.hub.referral(referral_id)

        reading = pool.submit(read_again_and_again)
        try:
            with closing(broker_as(hub, "routing").consumer([ROUTING_QUERIES], 1)) as consumer:
                request = orjson.loads(until(lambda: consumer.take(1, 1), "a request")[0].body)
        finally:
            stop.set()
        reading.result(30)
    password, port = password_of(hub, "intake")
    link = amqp.Connection(f"127.0.0.1:{port}", "kg.intake", password, virtual_host="kopuro")
    link.connect()
    with closing(link):
        channel = link.channel()
        copies = f"intake.replies.{new_id()}"
        channel.queue_declare(copies, exclusive=True)
        channel.queue_bind(copies, f"{REPLIES}.intake", routing_key=request["reply_to"])
        assert sender.hub.referral(referral_id)["id"] == referral_id
        copy = until(lambda: channel.basic_get(copies, no_ack=True), "a copy of the reply")
    reply = orjson.loads(copy.body)
    assert reply.keys() == {"number", "sealed"}
    assert referral_id.encode() not in decoded(reply["sealed"])
    with pytest.raises(ReplyUnopened):
        ReplyOpener().open(reply["sealed"], reply["number"])
