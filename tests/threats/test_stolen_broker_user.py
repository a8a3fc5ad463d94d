"""A thief of one service's broker password can do at the broker only what the service does."""

from __future__ import annotations

import contextlib
import functools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest
from amqp.exceptions import AccessRefused, ConnectionError, NotAllowed, PreconditionFailed, ResourceLocked
from kombu import Connection as KombuConnection

from contracts.broker_rights import USERS, exchanges_of, queues_of, user_name
from contracts.envelope import Envelope, Event
from contracts.facts import Fact, OfferAccepted
from contracts.topology import (
    CASES,
    DEAD_LETTER_SUFFIX,
    EVENTS,
    MAILBOXES,
    OPERATIONS,
    OWNERS,
    QUERIES,
    RECEIPTS,
    REPLIES,
    ROUTING_QUERIES,
    SERVICES,
    dead_letter_queue_name,
    hub_topology,
    published_to,
    reply_queue_prefix,
)
from runtime.identifiers import new_id
from runtime.messaging.authors import authors_in
from runtime.messaging.dead_letters.dead_letter import EXCHANGE, REASON, dead_letter_of
from runtime.messaging.dead_letters.dead_letter_queue import DeadLetters
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.rabbit.browser import RabbitBrowsers
from runtime.messaging.request_reply import RequestServer
from runtime.messaging.signatures.requests import Request
from sandbox.broker import PrivateBroker
from tests.messaging.consumer_harness import START, ConsumerHarness, HandClock, opened
from tests.support.hub_keys import manifest, peers, signed, signed_event, verifier
from tests.support.hub_users import imported

HUB = "kg"
TOPOLOGY = hub_topology()
EXCHANGES = tuple(exchange.name for exchange in TOPOLOGY.exchanges)
QUEUES = tuple(queue.name for queue in TOPOLOGY.queues)
# Exchanges that every broker has, and the one through which builds before 0.1 published every fact.
GIVEN = ("", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "kopuro.events")
LONG = 10.0


@dataclass(frozen=True)
class HubBroker:
    """A virtual host with the hub's definitions. uris: each user's; administrator: of the test."""

    administrator: str
    uris: Mapping[str, str]


@pytest.fixture(scope="module")
def hub(broker: PrivateBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubBroker]:
    name = f"threats-{secrets.token_hex(4)}"
    administrator = broker.add_vhost(name)
    uris = imported(broker, administrator, tmp_path_factory.mktemp("definitions"), hub=HUB)
    with channel_at(administrator) as channel:
        channel.exchange_declare("kopuro.events", "topic", durable=True, auto_delete=False)
    yield HubBroker(administrator, uris)
    broker.remove_vhost(name)


@functools.cache
def connection(uri: str) -> amqp.Connection:
    """Return one connection for all operations of a user: a refusal closes only the channel."""
    link = KombuConnection(uri, connect_timeout=5).connection
    link.confirm_publish = True
    return link


@contextlib.contextmanager
def channel_at(uri: str) -> Iterator[amqp.Channel]:
    channel = connection(uri).channel()
    try:
        yield channel
    finally:
        if channel.is_open:
            channel.close()


def refused(uri: str, operation: Callable[[amqp.Channel], Any]) -> bool:
    """Return whether the broker refuses the operation for lack of a right."""
    try:
        with channel_at(uri) as channel:
            operation(channel)
    except AccessRefused:
        return True
    except ResourceLocked:
        return False  # permitted, but a queue with a single active consumer knows no `get`
    return False


def publish(exchange: str, key: str = "key", **properties: Any) -> Callable[[amqp.Channel], Any]:
    message = amqp.Message(b"{}", **properties)
    return lambda channel: channel.basic_publish_confirm(
        message, exchange=exchange, routing_key=key, timeout=10
    )


def depth(hub: HubBroker, queue: str) -> int:
    with channel_at(hub.administrator) as channel:
        return int(channel.queue_declare(queue, passive=True).message_count)


# --- What each user may not do --------------------------------------------------------------------


@pytest.mark.parametrize("user", USERS)
def test_user_publishes_only_to_its_own_exchanges(hub: HubBroker, user: str) -> None:
    open_to_it = {name for name in (*EXCHANGES, *GIVEN) if not refused(hub.uris[user], publish(name))}
    assert open_to_it == set(exchanges_of(user))


@pytest.mark.parametrize("user", USERS)
def test_user_puts_nothing_into_a_queue_by_its_name(hub: HubBroker, user: str) -> None:
    # the keys of the default exchange are the names of queues
    assert all(refused(hub.uris[user], publish("", queue)) for queue in QUEUES)


@pytest.mark.parametrize("user", USERS)
def test_user_reads_only_its_own_queues(hub: HubBroker, user: str) -> None:
    def reads(queue: str) -> bool:
        got = refused(hub.uris[user], lambda channel: channel.basic_get(queue))
        consumed = refused(hub.uris[user], lambda channel: channel.basic_consume(queue))
        purged = refused(hub.uris[user], lambda channel: channel.queue_purge(queue))
        assert got == consumed == purged
        return not got

    mine = {queue for queue in QUEUES if queue.endswith(DEAD_LETTER_SUFFIX)} if user == OPERATIONS else set()
    assert {queue for queue in QUEUES if reads(queue)} == mine | set(queues_of(user))


@pytest.mark.parametrize("user", USERS)
def test_user_declares_and_deletes_nothing(hub: HubBroker, user: str) -> None:
    durable = {"durable": True, "auto_delete": False}
    operations: list[Callable[[amqp.Channel], Any]] = [
        lambda channel: channel.queue_declare("mine", **durable),
        lambda channel: channel.queue_declare("mine", exclusive=True),
        lambda channel: channel.queue_declare("", exclusive=True),
        lambda channel: channel.exchange_declare("mine", "topic", **durable),
        *(lambda channel, queue=queue: channel.queue_delete(queue) for queue in QUEUES),
        *(lambda channel, name=name: channel.exchange_delete(name) for name in EXCHANGES),
    ]
    assert all(refused(hub.uris[user], operation) for operation in operations)


@pytest.mark.parametrize("user", USERS)
def test_user_binds_no_queue_of_the_hub(hub: HubBroker, user: str) -> None:
    sealed = [published_to(CASES, key) for key in ("sealed_case.submitted", "sealed_case.released")]
    for queue in (*queues_of(user), "vault.events", "delivery.sealed"):
        for source in (*sealed, published_to(EVENTS, "offer.accepted"), *exchanges_of(user)):
            assert refused(hub.uris[user], lambda channel: channel.queue_bind(queue, source, "#"))  # noqa: B023
            assert refused(hub.uris[user], lambda channel: channel.queue_unbind(queue, source, "#"))  # noqa: B023


@pytest.mark.parametrize("user", USERS)
def test_user_diverts_no_exchange_of_facts_to_its_own(hub: HubBroker, user: str) -> None:
    for source in EXCHANGES:
        # a requester may bind from its replies, which only it receives anyway
        if source != f"{REPLIES}.{user}":
            for own in exchanges_of(user):
                assert refused(hub.uris[user], lambda channel: channel.exchange_bind(own, source, "#"))  # noqa: B023


@pytest.mark.parametrize("user", USERS)
def test_requester_receives_no_facts_in_its_private_queue(hub: HubBroker, user: str) -> None:
    name = f"{reply_queue_prefix(user)}{new_id()}"

    def bind(source: str) -> Callable[[amqp.Channel], Any]:
        def operation(channel: amqp.Channel) -> None:
            channel.queue_declare(name, exclusive=True)
            channel.queue_bind(name, source, "#")

        return operation

    open_to_it = {source for source in EXCHANGES if not refused(hub.uris[user], bind(source))}
    assert open_to_it == ({f"{REPLIES}.intake"} if user == "intake" else set())


@pytest.mark.parametrize("user", USERS)
def test_user_cannot_state_another_author(hub: HubBroker, user: str) -> None:
    for other in (*USERS, "nobody"):
        if other != user:
            with pytest.raises(PreconditionFailed), channel_at(hub.uris[user]) as channel:
                publish(exchanges_of(user)[0], user_id=user_name(HUB, other))(channel)


@pytest.mark.parametrize("service", SERVICES)
def test_copies_to_further_keys_reach_no_other_services_consumer(hub: HubBroker, service: str) -> None:
    # RabbitMQ routes by the keys in this header as well, and 3.10 checks no right on them
    foreign = [key for key, owners in OWNERS.items() if service not in owners]
    before = {queue: depth(hub, queue) for queue in QUEUES}
    for exchange in exchanges_of(service):
        if exchange.startswith((EVENTS, CASES)):
            send = publish(exchange, "no.such.fact", application_headers={"CC": [*foreign, *QUEUES]})
            assert not refused(hub.uris[service], send)
    grown = {queue for queue in QUEUES if depth(hub, queue) > before[queue]}
    assert grown <= {"audit.log"}, (
        "only the log hears everything, and it refuses what its author does not own"
    )


@pytest.mark.parametrize("user", USERS)
def test_user_enters_no_other_virtual_host(hub: HubBroker, broker: PrivateBroker, user: str) -> None:
    for name in ("kopuro", "/", "absent"):
        uri = hub.uris[user].rpartition("/")[0] + "/" + name.replace("/", "%2F")
        with pytest.raises((NotAllowed, ConnectionError)), channel_at(uri):
            pass


# --- What each user needs -------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_service_finds_every_queue_and_consumes_its_own(hub: HubBroker, service: str) -> None:
    broker = RabbitBroker(hub.uris[service], service=service)
    with contextlib.closing(broker.queue_reader()) as reader:
        assert reader.missing(TOPOLOGY) == ()
        assert reader.counts([dead_letter_queue_name(queue) for queue in ("audit.log", "vault.events")])
    with contextlib.closing(broker.consumer(queues_of(service), 1)) as consumer:
        consumer.take(1, 0.1)


@pytest.mark.parametrize(("key", "owners"), OWNERS.items())
def test_owner_publishes_its_facts(hub: HubBroker, key: str, owners: frozenset[str]) -> None:
    unrouted = {
        "note.delivered",
        "message.closed",
        "alerts.counted",
        "submission.admitted",
        "receipts.issued",
        "receipt.issued",
        "events.logged",
        "replica.completed",
    }
    if key in unrouted:
        return
    exchange = CASES if key.startswith("sealed") else EVENTS
    message = Outgoing(exchange=exchange, routing_key=key, message_id=new_id(), partition_key="", body=b"{}")
    for owner in owners:
        with contextlib.closing(RabbitBroker(hub.uris[owner], service=owner).publisher()) as publisher:
            publisher.publish([message])


def test_request_and_reply_pass_between_intake_and_routing(hub: HubBroker) -> None:
    intake = RabbitBroker(hub.uris["intake"], service="intake")
    routing = RabbitBroker(hub.uris["routing"], service="routing")
    with (
        contextlib.closing(intake.private_consumer("intake")) as replies,
        contextlib.closing(routing.consumer([ROUTING_QUERIES], 10)) as requests,
        contextlib.closing(intake.publisher()) as asking,
        contextlib.closing(routing.publisher()) as answering,
    ):
        replies.take(1, 0.1)
        assert replies.name is not None
        asking.publish([transient(QUERIES, ROUTING_QUERIES)])
        (request,) = requests.take(1, LONG)
        answering.publish([transient(REPLIES, replies.name)])
        (reply,) = replies.take(1, LONG)
        requests.acknowledge([request])
    assert (request.user_id, reply.user_id) == ("kg.intake", "kg.routing")


def transient(exchange: str, key: str) -> Outgoing:
    return Outgoing(
        exchange=exchange, routing_key=key, message_id=new_id(), partition_key="", body=b"?", transient=True
    )


# --- What a consumer accepts ----------------------------------------------------------------------


def accepted(source: str = "/kg/routing") -> Event[Fact]:
    return Event(
        id=new_id(),
        source=source,
        time=START,
        partition_key="r",
        correlation_id="c",
        causation_id=None,
        data=OfferAccepted(referral_id="r", offer_id="o", organization="kg.thief", sender="kg.osh"),
    )


@contextlib.contextmanager
def consuming(hub: HubBroker, queue: str, directory: Path) -> Iterator[Callable[[], ConsumerHarness]]:
    """Yield a function that processes what is in the queue, as its service does, and returns the consumer."""
    service = queue.partition(".")[0]
    authors = authors_in(manifest())
    broker = RabbitBroker(hub.uris[service], service=service)
    with (
        contextlib.closing(broker.consumer([queue], 100)) as consumer,
        opened(f"sqlite:///{directory / 'consumer.sqlite'}") as database,
    ):
        while left := consumer.take(100, 0.2):  # messages that other tests have left
            consumer.acknowledge(left)
        harness = ConsumerHarness(database, Envelope.decode, fault=authors.fault, verifier=verifier())

        def process() -> ConsumerHarness:
            deliveries = consumer.take(100, LONG)
            assert deliveries
            harness.processor.process(deliveries)
            consumer.acknowledge(deliveries)
            return harness

        yield process


def send(uri: str, message: Outgoing, service: str | None = None) -> None:
    with contextlib.closing(RabbitBroker(uri, service=service).publisher()) as publisher:
        publisher.publish([message])


def reasons(harness: ConsumerHarness) -> list[str]:
    return [message.headers[REASON] for message in harness.dead_letters()]


def test_acceptance_by_routing_takes_effect(hub: HubBroker, tmp_path: Path) -> None:
    event = accepted()
    with consuming(hub, "vault.events", tmp_path) as process:
        send(hub.uris["routing"], signed_event(event), "routing")
        harness = process()
    assert (harness.effects(), reasons(harness)) == ([event.id], [])


@pytest.mark.parametrize("source", ["/kg/routing", "/kg/intake", "/uz/routing", "/kg/", "routing"])
def test_acceptance_forged_by_another_service_has_no_effect(
    hub: HubBroker, tmp_path: Path, source: str
) -> None:
    # A message of audit for the mailboxes' queue arrives there, also if it is not a receipt.
    forged = replace(signed(outgoing(accepted(source)), by="audit"), exchange=RECEIPTS, routing_key=MAILBOXES)
    with consuming(hub, MAILBOXES, tmp_path) as process:
        send(hub.uris["audit"], forged, "audit")
        harness = process()
    assert harness.effects() == []
    assert [reason.startswith("not authentic: audit signed") for reason in reasons(harness)] == [True]


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"routing"}))
def test_captured_fact_sent_by_another_user_does_not_enter_the_log(
    hub: HubBroker, tmp_path: Path, service: str
) -> None:
    captured = signed_event(accepted())
    with consuming(hub, "audit.log", tmp_path) as process:
        send(hub.uris[service], captured, service)
        harness = process()
    assert harness.effects() == []
    (reason,) = reasons(harness)
    assert f"sent by kg.{service}, not by kg.routing" in reason


def test_message_without_an_author_has_no_effect(hub: HubBroker, tmp_path: Path) -> None:
    captured = signed_event(accepted())
    with consuming(hub, "audit.log", tmp_path) as process:
        with channel_at(hub.uris["routing"]) as channel:
            channel.basic_publish_confirm(
                amqp.Message(captured.body, application_headers=dict(captured.headers)),
                exchange="kopuro.events.routing",
                routing_key=captured.routing_key,
            )
        harness = process()
    assert harness.effects() == []
    assert "sent by no user" in reasons(harness)[0]
    (letter,) = harness.dead_letters()
    assert letter.headers[EXCHANGE] == "kopuro.events.routing", "it tells whose password was used"


@pytest.mark.parametrize("has_proof", [True, False])
def test_replayed_message_takes_effect_only_with_proof_of_its_author(
    hub: HubBroker, tmp_path: Path, *, has_proof: bool
) -> None:
    event = accepted()
    headers = signed_event(event).headers if has_proof else {}
    letter = dead_letter_of(
        Delivery(
            tag=1,
            queue="vault.events",
            routing_key="offer.accepted",
            message_id=event.id,
            body=event.encode(),
            headers=headers,
            redelivered=False,
        ),
        consumer="vault.events",
        reason="Defect: No.",
        now=START,
    )
    operator = hub.uris[OPERATIONS]
    with consuming(hub, "vault.events", tmp_path) as process:
        send(hub.uris["vault"], letter, "vault")
        with contextlib.closing(RabbitBroker(operator).publisher()) as publisher:
            letters = DeadLetters(browse=RabbitBrowsers(operator), publisher=publisher, topology=TOPOLOGY)
            deadline = time.monotonic() + LONG
            while event.id not in [one.message_id for one in letters.of("vault.events")]:
                assert time.monotonic() < deadline
            letters.replay("vault.events", event.id)
        harness = process()
    assert harness.effects() == ([event.id] if has_proof else [])
    assert len(harness.dead_letters()) == (0 if has_proof else 1)


def test_request_that_intake_did_not_sign_and_send_is_ignored(hub: HubBroker) -> None:
    broker = RabbitBroker(hub.uris["routing"], service="routing")
    asked: list[Any] = []
    server = RequestServer(broker, asked.append, peers=peers("routing", "intake"), clock=HandClock())
    request = Request(
        to=ROUTING_QUERIES,
        reply_to="intake.replies.0",
        reply_key="A" * 43,
        number=new_id(),
        asked_at=START,
        query={"ask": "?"},
    )
    unsigned = replace(transient(QUERIES, ROUTING_QUERIES), body=request.encode())
    with contextlib.closing(broker.consumer([ROUTING_QUERIES], 10)) as consumer:

        def received(message: Outgoing) -> Delivery:
            send(hub.uris["intake"], message, "intake")
            (delivery,) = consumer.take(1, LONG)
            consumer.acknowledge([delivery])
            return delivery

        server.process([received(unsigned)])
        server.process([received(signed(unsigned, by=other)) for other in sorted({*SERVICES} - {"intake"})])
        genuine = received(signed(unsigned, by="intake"))
        server.process([replace(genuine, user_id="kg.audit"), replace(genuine, user_id=None)])
        assert asked == []
        server.process([genuine])
    assert asked == [{"ask": "?"}]


# --- Replaced passwords --------------------------------------------------------------------------


def test_connection_of_a_thief_outlives_the_password_until_the_users_connections_are_closed(
    hub: HubBroker, broker: PrivateBroker
) -> None:
    """The steps of docs/operations.md: the import of another password, then close_all_user_connections."""
    user = f"kg.thief-{secrets.token_hex(4)}"
    place = urlsplit(hub.administrator)
    vhost = place.path.removeprefix("/")
    internal = "rabbit_auth_backend_internal"
    broker.evaluate(f'ok = {internal}:add_user(<<"{user}">>, <<"stolen">>, <<"test">>)')
    broker.evaluate(
        f'ok = {internal}:set_permissions(<<"{user}">>, <<"{vhost}">>, <<"">>, <<"">>, <<".*">>, <<"test">>)'
    )

    def opened(password: str) -> amqp.Connection:
        uri = f"amqp://{user}:{password}@{place.hostname}:{place.port}/{vhost}"
        return KombuConnection(uri, connect_timeout=5).connection

    link = opened("stolen")
    broker.evaluate(f'ok = {internal}:change_password(<<"{user}">>, <<"replaced">>, <<"test">>)')
    with pytest.raises(AccessRefused):
        opened("stolen")
    link.channel().queue_declare("audit.log", passive=True)  # It still may all that the user may.
    broker.evaluate(
        # The sixth element of a tracked connection is its process.
        '[rabbit_networking:close_connection(element(6, One), "new password") '
        f'|| One <- rabbit_connection_tracking:list_of_user(<<"{user}">>)]'
    )
    with pytest.raises(ConnectionError):
        link.channel().queue_declare("audit.log", passive=True)
    opened("replaced").close()
    broker.evaluate(f'ok = {internal}:delete_user(<<"{user}">>, <<"test">>)')


# --- Names of users ------------------------------------------------------------------------------


def test_hub_whose_services_share_a_user_expects_that_user_of_all() -> None:
    shared, own = authors_in(manifest(user="everybody")), authors_in(manifest())
    assert shared.users_of(SERVICES) == {"everybody"}
    assert own.users_of(("routing",)) == {"kg.routing"}
