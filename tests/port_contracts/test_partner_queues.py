"""The queues and users of partners: RabbitMQ and the doubles of the unit tests behave alike."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import amqp
import pytest

from contracts.broker_rights import PARTNERS_VHOST
from runtime.messaging.rabbit.connection import ConnectionFactory
from sandbox.broker import PrivateBroker
from sandbox.broker_configuration import LARGEST_MESSAGE
from services.gateway.adapters.management_users import ManagementUsers
from services.gateway.adapters.partners_topology import MOST_DEAD_LETTERS, MOST_SUBMISSIONS
from services.gateway.adapters.rabbit_queues import RabbitQueues
from services.gateway.adapters.rabbit_submissions import PREFETCH, RabbitSubmissions
from services.gateway.domain.broker_load import work_between
from services.gateway.domain.partner import (
    DEAD_LETTERS,
    SUBMISSIONS,
    exchange_of,
    hashed,
    queue_of,
    submissions_of,
)
from services.gateway.domain.window import CAPACITY, Count
from services.gateway.ports import BrokerUsers, PartnerConnections, Queues, SessionEnded, UserConflict
from services.gateway.submission_processor import LONGEST_BODY, Received, Verdict, digest_of
from tests.journey.waiting import until
from tests.unit.services.gateway.doubles import OSH, BrokerInMemory, message

HUB = "kg"
OTHER = "ru.moscow-common-table"
PASSWORD = secrets.token_urlsafe(12)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with PrivateBroker(tmp_path_factory.mktemp("node") / "broker", hub=HUB, partners=True) as broker:
        yield broker


def factory_of(node: PrivateBroker) -> ConnectionFactory:
    return ConnectionFactory(uri=node.identity.partners_uri(HUB), connect_timeout=10, heartbeat=30)


@dataclass
class Place:
    """An organisation's queue and user, and a consumer of the queue."""

    queues: Queues
    users: BrokerUsers
    connections: PartnerConnections
    consumer: Any
    may_connect: Callable[[], bool]

    def deliver(self, number: int) -> list[str]:
        return list(self.consumer.deliver(number))

    def acknowledge(self, *ids: str) -> None:
        self.consumer.acknowledge(*ids)


def connected(node: PrivateBroker) -> amqp.Connection:
    link = amqp.Connection(
        host=f"127.0.0.1:{node.identity.amqp_port}",
        userid=OSH,
        password=PASSWORD,
        virtual_host=PARTNERS_VHOST,
    )
    link.connect()
    return link


class Consumer:
    """The organisation's program: takes messages one by one."""

    def __init__(self, node: PrivateBroker) -> None:
        self._link = connected(node)
        self._channel = self._link.channel()
        self._tags: dict[str, int] = {}

    def deliver(self, number: int) -> list[str]:
        ids = []
        for _ in range(number):
            found = self._channel.basic_get(queue_of(OSH))
            if found is not None:
                ids.append(found.properties["message_id"])
                self._tags[ids[-1]] = found.delivery_tag
        return ids

    def acknowledge(self, *ids: str) -> None:
        for one in ids:
            self._channel.basic_ack(self._tags.pop(one))

    def close(self) -> None:
        self._link.collect()


def may_connect(node: PrivateBroker) -> bool:
    try:
        Consumer(node).close()
    except amqp.exceptions.NotAllowed:
        return False
    return True


@pytest.fixture(params=["memory", "rabbit"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        broker = BrokerInMemory()
        yield Place(
            queues=broker,
            users=broker,
            connections=broker,
            consumer=broker,
            may_connect=lambda: broker.may_connect(OSH),
        )
        return
    node: PrivateBroker = request.getfixturevalue("node")
    queues, users = RabbitQueues(factory_of(node)), ManagementUsers(node.identity.management_uri(HUB))
    with_submit = RabbitSubmissions(factory_of(node), list)
    with_submit.take(0.01)
    with_submit.close()
    users.put(OSH, hashed(PASSWORD, secrets.token_bytes(4)))
    users.grant(OSH)
    queues.begin(OSH)
    consumer = Consumer(node)
    try:
        yield Place(
            queues=queues,
            users=users,
            connections=users,
            consumer=consumer,
            may_connect=lambda: may_connect(node),
        )
    finally:
        consumer.close()
        users.remove(OSH)
        queues.close()


def test_copies_are_delivered_in_order_and_counted_while_they_wait(place: Place) -> None:
    session = place.queues.begin(OSH)
    assert place.queues.copy(session, OSH, [message(n) for n in range(5)]) == 5
    assert place.queues.standing(session, OSH).waiting == 5
    assert place.deliver(3) == ["m0", "m1", "m2"]
    assert place.queues.standing(session, OSH).waiting == 2


def test_begin_removes_waiting_messages_and_keeps_delivered_ones(place: Place) -> None:
    session = place.queues.begin(OSH)
    place.queues.copy(session, OSH, [message(n) for n in range(3)])
    place.deliver(1)
    again = place.queues.begin(OSH)
    assert again == session
    assert place.queues.standing(session, OSH).waiting == 0
    assert place.deliver(1) == []


def test_full_queue_takes_no_further_messages(place: Place) -> None:
    session = place.queues.begin(OSH)
    # RabbitMQ takes one more than the limit, and more while a page is on its way.
    confirmed = place.queues.copy(session, OSH, [message(n) for n in range(CAPACITY + 1)])
    assert confirmed >= CAPACITY
    assert place.queues.copy(session, OSH, [message(1000 + n) for n in range(3)]) == 0
    assert place.queues.standing(session, OSH).waiting == confirmed


def test_look_returns_waiting_messages_and_changes_nothing(place: Place) -> None:
    session = place.queues.begin(OSH)
    place.queues.copy(session, OSH, [message(n) for n in range(5)])
    place.deliver(1)
    assert place.queues.look(session, OSH) == ["m1", "m2", "m3", "m4"]
    until(lambda: place.queues.standing(session, OSH).waiting == 4, "the messages that were given back")
    assert place.queues.look(session, OSH) == ["m1", "m2", "m3", "m4"]
    assert place.deliver(4) == ["m1", "m2", "m3", "m4"]


def test_session_of_another_connection_has_ended(place: Place) -> None:
    session = place.queues.begin(OSH)
    with pytest.raises(SessionEnded):
        place.queues.standing(session + 1, OSH)
    with pytest.raises(SessionEnded):
        place.queues.copy(session - 1, OSH, [message(0)])


def test_user_has_access_from_grant_to_withdrawal(place: Place) -> None:
    place.users.grant(OSH)
    assert place.users.all() == [OSH]
    assert place.may_connect()
    place.users.withdraw(OSH)
    place.users.withdraw(OSH)
    assert place.users.all() == [OSH]
    assert not place.may_connect()
    with pytest.raises(UserConflict):
        place.users.grant("kg.without-a-user")


def test_banned_organization_cannot_connect_until_it_is_released(place: Place) -> None:
    place.users.grant(OSH)
    session = place.queues.begin(OSH)
    place.queues.copy(session, OSH, [message(n) for n in range(3)])
    assert place.deliver(2) == ["m0", "m1"]
    place.acknowledge("m0")
    for _ in range(2):
        place.connections.ban(OSH, "too much work")
        assert not place.may_connect()
    # Neither the gateway's connection nor what waits for the organisation is touched.
    until(lambda: place.queues.standing(session, OSH).waiting == 2, "the message that was delivered")
    place.users.grant(OSH)  # a new window grants access again, and must not end the ban
    assert not place.may_connect()
    for _ in range(2):
        place.connections.release(OSH)
        assert place.may_connect()


def test_closed_connection_gets_the_reason(node: PrivateBroker) -> None:
    users = ManagementUsers(node.identity.management_uri(HUB))
    users.put(OSH, hashed(PASSWORD, secrets.token_bytes(4)))
    users.grant(OSH)
    link = connected(node)
    try:
        users.ban(OSH, "banned for 60 seconds")
        with pytest.raises(amqp.exceptions.ConnectionForced, match="banned for 60 seconds"):
            link.drain_events(timeout=10)
    finally:
        users.remove(OSH)
        users.release(OSH)


def test_sample_counts_what_a_connection_did(node: PrivateBroker) -> None:
    users = ManagementUsers(node.identity.management_uri(HUB))
    users.put(OSH, hashed(PASSWORD, secrets.token_bytes(4)))
    users.grant(OSH)
    before = users.sample()
    link = connected(node)
    try:
        until(
            lambda: work_between(before, users.sample()).get(OSH) or None, "the connection's count", within=30
        )
        first = users.sample()
        assert [one.organization for one in first.connections].count(OSH) == 1
        link.transport.write(b"\x08\x00\x00\x00\x00\x00\x00\xce" * 100_000)  # heartbeats: no answer
        until(
            lambda: work_between(first, users.sample())[OSH] > 500_000,
            "the count of frames that are nothing but heartbeats",
            within=30,
        )
    finally:
        link.collect()
        users.remove(OSH)


def test_count_includes_delivered_messages_and_changes_its_mark(node: PrivateBroker) -> None:
    queues, users = RabbitQueues(factory_of(node)), ManagementUsers(node.identity.management_uri(HUB))
    users.put(OSH, hashed(PASSWORD, secrets.token_bytes(4)))
    with_submit = RabbitSubmissions(factory_of(node), list)
    with_submit.take(0.01)
    with_submit.close()
    users.grant(OSH)
    session = queues.begin(OSH)
    queues.copy(session, OSH, [message(n) for n in range(3)])
    consumer = Consumer(node)
    consumer.deliver(2)
    consumer.acknowledge("m0")
    marks: set[int] = set()

    def counted(messages: int) -> Count | None:
        found = users.count(OSH)
        if found is None:
            return None
        marks.add(found.mark)
        return found if found.messages == messages else None

    until(lambda: counted(2), "the count")
    consumer.acknowledge("m1", *consumer.deliver(1))
    until(lambda: counted(0), "the empty queue")
    assert len(marks) >= 2
    consumer.close()
    users.remove(OSH)
    queues.close()


def take(submissions: RabbitSubmissions, number: int) -> list[tuple[int, Received]]:
    taken: list[tuple[int, Received]] = []

    def all_taken() -> bool:
        taken.extend(submissions.take(0.2))
        return len(taken) >= number

    until(all_taken, f"{number} submissions")
    return taken


def test_submission_becomes_a_dead_letter_or_is_delivered_again_by_its_verdict(node: PrivateBroker) -> None:
    submissions = RabbitSubmissions(factory_of(node), lambda: [OSH])
    submissions.take(0.01)
    link = factory_of(node).connect()
    channel = link.channel()
    for key in ("a", "b", "c"):
        channel.basic_publish(amqp.Message(b'{"n": 1}', message_id=key), exchange_of(OSH), OSH)
    taken = take(submissions, 3)
    assert [one.message_id for _, one in taken] == ["a", "b", "c"]
    assert {one.organization for _, one in taken} == {OSH}
    assert taken[0][1].user_id is None
    verdicts = [Verdict.answered, Verdict.retried, Verdict.dead_letter]
    submissions.settle([(tag, verdict) for (tag, _), verdict in zip(taken, verdicts, strict=True)])
    again = take(submissions, 1)
    assert [one.message_id for _, one in again] == ["b"]
    submissions.settle([(again[0][0], Verdict.answered)])
    until(lambda: channel.queue_declare("submissions.parked", passive=True).message_count == 1, "parking")
    channel.queue_purge("submissions.parked")
    submissions.close()
    link.collect()


def test_dead_letter_that_is_moved_back_is_its_organizations(node: PrivateBroker) -> None:
    # The shovel of the management page publishes to the queue by its name, with any user_id.
    tagged = (
        f'rabbit_auth_backend_internal:set_tags(<<"{HUB}.gateway">>, [administrator, impersonator], <<>>)'
    )
    node.evaluate(tagged)
    submissions = RabbitSubmissions(factory_of(node), lambda: [OSH])
    submissions.take(0.01)
    link = factory_of(node).connect()
    channel = link.channel()
    channel.basic_publish(amqp.Message(b"{}", message_id="d", user_id=OSH), exchange_of(OSH), OSH)
    submissions.settle([(tag, Verdict.dead_letter) for tag, _ in take(submissions, 1)])
    found = until(lambda: channel.basic_get("submissions.parked"), "the dead letter")
    channel.basic_publish(amqp.Message(found.body, **found.properties), "", "submissions")
    channel.basic_ack(found.delivery_tag)
    ((tag, back),) = take(submissions, 1)
    assert (back.organization, back.user_id, back.message_id) == (OSH, OSH, "d")
    submissions.settle([(tag, Verdict.answered)])
    submissions.close()
    link.collect()


def test_submission_is_routed_to_no_queue_but_its_organizations(node: PrivateBroker) -> None:
    queues = RabbitQueues(factory_of(node))
    for organization in (OSH, OTHER):
        queues.begin(organization)
    with_submit = RabbitSubmissions(factory_of(node), list)
    with_submit.take(0.01)
    with_submit.close()
    link = factory_of(node).connect()
    channel = link.channel()
    others = [submissions_of(OTHER), queue_of(OTHER), queue_of(OSH), SUBMISSIONS, DEAD_LETTERS]

    def waiting(queue: str) -> int:
        count: int = channel.queue_declare(queue, passive=True).message_count
        return count

    before = {queue: waiting(queue) for queue in others}
    channel.confirm_select()
    for name in ("CC", "BCC"):
        for key in (OSH, OTHER, "#"):
            headers = {name: [OTHER, exchange_of(OTHER), *others, "#"]}
            content = amqp.Message(b"{}", application_headers=headers)
            channel.basic_publish_confirm(content, exchange_of(OSH), key)
    assert waiting(submissions_of(OSH)) == 6
    assert {queue: waiting(queue) for queue in others} == before
    channel.queue_purge(submissions_of(OSH))
    queues.close()
    link.collect()


def test_properties_of_a_submission_arrive_as_they_were_sent(node: PrivateBroker) -> None:
    submissions = RabbitSubmissions(factory_of(node), lambda: [OSH])
    submissions.take(0.01)
    link = factory_of(node).connect()
    channel = link.channel()
    sent = {"content_type": "text/plain", "content_encoding": "gzip", "expiration": "60000"}
    for properties in (sent, {}):
        channel.basic_publish(amqp.Message(b"\xff", **properties), exchange_of(OSH), OSH)
    (first, with_all), (second, with_none) = take(submissions, 2)
    assert with_all == Received(organization=OSH, body=b"\xff", user_id=None, message_id=None, **sent)
    assert with_none == Received(organization=OSH, body=b"\xff", user_id=None, message_id=None)
    submissions.settle([(tag, Verdict.answered) for tag in (first, second)])
    submissions.close()
    link.collect()


def test_body_that_is_too_large_arrives_as_its_digest_and_a_larger_one_closes_its_channel(
    node: PrivateBroker,
) -> None:
    submissions = RabbitSubmissions(factory_of(node), lambda: [OSH])
    submissions.take(0.01)
    link = factory_of(node).connect()
    channel = link.channel()
    longest, larger = b"a" * LONGEST_BODY, b"b" * (LONGEST_BODY + 1)
    for body in (longest, larger):
        channel.basic_publish(amqp.Message(body), exchange_of(OSH), OSH)
    (first, kept), (second, dropped) = take(submissions, 2)
    assert (kept.body, kept.dropped) == (longest, None)
    assert (dropped.body, dropped.dropped) == (b"", digest_of(larger))
    submissions.settle([(tag, Verdict.answered) for tag in (first, second)])
    channel.confirm_select()
    with pytest.raises(amqp.exceptions.PreconditionFailed):
        channel.basic_publish_confirm(amqp.Message(b"c" * (LARGEST_MESSAGE + 1)), exchange_of(OSH), OSH)
    submissions.close()
    link.collect()


def test_submissions_that_are_handed_back_come_again_in_order_after_others(node: PrivateBroker) -> None:
    users = ManagementUsers(node.identity.management_uri(HUB))
    queues = RabbitQueues(factory_of(node))
    for organization in (OSH, OTHER):
        queues.begin(organization)
    link = factory_of(node).connect()
    channel = link.channel()
    numbers = [f"f{number}" for number in range(PREFETCH + 5)]
    for key in numbers:
        channel.basic_publish(amqp.Message(b"{}", message_id=key), exchange_of(OSH), OSH)
    submissions = RabbitSubmissions(factory_of(node), users.submitters)
    held = take(submissions, PREFETCH)
    submissions.settle([(tag, Verdict.answered) for tag, _ in held[:2]])  # lets two more come meanwhile
    submissions.hand_back(OSH, [tag for tag, _ in held[2:]])
    channel.basic_publish(amqp.Message(b"{}", message_id="one"), exchange_of(OTHER), OTHER)
    ((tag, other),) = take(submissions, 1)
    assert other.organization == OTHER
    submissions.settle([(tag, Verdict.answered)])
    again: list[str | None] = []
    while len(again) < len(numbers) - 2:
        for tag, received in take(submissions, 1):
            again.append(received.message_id)
            submissions.settle([(tag, Verdict.answered)])
    assert again == numbers[2:]
    submissions.close()
    queues.close()
    link.collect()


@pytest.fixture
def fresh_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with PrivateBroker(tmp_path_factory.mktemp("node") / "broker", hub=HUB, partners=True) as broker:
        yield broker


def test_submissions_that_expire_fill_their_organizations_queue_and_no_disk(
    fresh_node: PrivateBroker,
) -> None:
    """The dead-letter queue had no bound: 4,500 submissions that expired at once left 75 MB in it."""
    queues, submissions = (
        RabbitQueues(factory_of(fresh_node)),
        RabbitSubmissions(factory_of(fresh_node), list),
    )
    for organization in (OSH, OTHER):
        queues.begin(organization)
    submissions.take(0.01)  # declares the queue of dead letters
    submissions.close()
    link = factory_of(fresh_node).connect()
    channel = link.channel()
    channel.confirm_select()
    taken = 0
    with pytest.raises(amqp.exceptions.MessageNacked):
        while taken < 2 * (MOST_DEAD_LETTERS + MOST_SUBMISSIONS):
            channel.basic_publish_confirm(amqp.Message(b"{}", expiration="1"), exchange_of(OSH), OSH)
            taken += 1
    # The broker looks at lengths with some delay.
    assert channel.queue_declare(DEAD_LETTERS, passive=True).message_count < MOST_DEAD_LETTERS * 3 // 2
    # Its own access is ended, and that of the others is not.
    channel.basic_publish_confirm(amqp.Message(b"{}"), exchange_of(OTHER), OTHER)
    queues.close()
    link.collect()


def test_flood_of_one_organization_delays_no_other(node: PrivateBroker) -> None:
    users = ManagementUsers(node.identity.management_uri(HUB))
    queues = RabbitQueues(factory_of(node))
    for organization in (OSH, OTHER):
        queues.begin(organization)  # declares what the organisation may publish to
    link = factory_of(node).connect()
    channel = link.channel()
    for number in range(300):
        channel.basic_publish(amqp.Message(b"{}", message_id=f"f{number}"), exchange_of(OSH), OSH)
    channel.basic_publish(amqp.Message(b"{}", message_id="one"), exchange_of(OTHER), OTHER)
    submissions = RabbitSubmissions(factory_of(node), users.submitters)
    first = take(submissions, PREFETCH + 1)
    assert [received.message_id for _, received in first if received.organization == OTHER] == ["one"]
    assert len(first) == PREFETCH + 1
    submissions.close()
    channel.queue_purge(submissions_of(OSH))
    queues.close()
    link.collect()
