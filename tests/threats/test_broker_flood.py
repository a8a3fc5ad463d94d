"""A member that floods the partners' broker is banned there; others continue, and nothing is lost.

The tests count. `python -m benchmarks flood` measures how much others are delayed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

import amqp
import httpx
import kombu
import pytest

from admin.embedded_broker import LOOPBACK
from admin.keys import public_half
from sandbox.hub import Hub
from sandbox.hub_files import GATEWAY, HUB
from services.gateway.adapters.partners_topology import MOST_SUBMISSIONS
from services.gateway.domain.partner import exchange_of, submissions_of
from tests.journey.waiting import until
from tests.long_run import times
from tests.support import broker_floods
from tests.support.amqp_hub import AmqpHub

HOSTILE = "kg.osh-legal-aid"
VICTIM = "kg.suusar-hotline"
LAWFUL = "ru.moscow-common-table"
_UNKNOWN = "018f0000-0000-7000-8000-000000000001"
_BANNED = "kopuro_gateway_banned"
_BANS = "kopuro_gateway_bans_total"
# Several times as long as a ban takes on an otherwise idle machine.
_BANNED_WITHIN = 110.0


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AmqpHub]:
    environment = {name: value for name, value in os.environ.items() if name != "KOPURO_AMQP_URI"}
    running = Hub(tmp_path_factory.mktemp("broker-flood") / "data", environment=environment, amqp=True)
    try:
        running.start()
        made = AmqpHub(running)
        key = public_half(json.loads(running.files.key("gateway").read_text(encoding="utf-8")))
        for organization in (HOSTILE, VICTIM, LAWFUL):
            made.connect(organization, key)
        yield made
    finally:
        running.stop()


def metric(hub: AmqpHub, name: str) -> float | None:
    port = hub.hub.files.ports(GATEWAY).operations
    try:
        text = httpx.get(f"http://{LOOPBACK}:{port}/metrics").text
    except httpx.HTTPError:
        return None
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def restart_gateway(hub: AmqpHub) -> None:
    assert hub.hub.supervisor is not None
    (pid,) = [one.pid for one in hub.hub.supervisor.status() if one.name == GATEWAY]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def host(hub: AmqpHub) -> str:
    return f"{LOOPBACK}:{hub.identity.amqp_port}"


def may_connect(hub: AmqpHub, organization: str) -> bool:
    try:
        broker_floods.connected(host(hub), organization, hub.passwords[organization]).close()
    except amqp.exceptions.NotAllowed:
        return False
    return True


def waiting(hub: AmqpHub, organization: str) -> int:
    """Return how many submissions of the organisation wait in its queue."""
    with kombu.Connection(hub.identity.partners_uri(HUB)) as link, link.channel() as channel:
        return int(channel.queue_declare(submissions_of(organization), passive=True).message_count)


# The gateway answers a full queue of the flood's submissions before the last one.
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "flood",
    # The second publishes too, and also escapes the broker's counts of channels.
    [pytest.param(broker_floods.publish, marks=pytest.mark.long_run), broker_floods.open_channels],
)
def test_flood_is_banned_while_others_continue_and_its_messages_wait(
    hub: AmqpHub, flood: Callable[[str, str, str], None]
) -> None:
    progress = {"submit": "progress", "referral_id": _UNKNOWN, "status": "in_progress"}
    until(lambda: metric(hub, _BANNED) == 0.0, "a gateway that bans nobody")
    with hub.program(HOSTILE) as hostile:
        confirmed = hostile.submit(progress)
    running = partial(flood, host(hub), HOSTILE, hub.passwords[HOSTILE])
    with broker_floods.flooding(running), hub.program(VICTIM) as victim:
        until(lambda: metric(hub, _BANNED) == 1.0, "the ban", within=_BANNED_WITHIN)
        assert not may_connect(hub, HOSTILE)
        # The others' submissions, windows and new connections.
        answer = victim.answer_to(victim.submit(progress))
        assert answer["problem"]["type"] == "urn:kopuro:problem:not-found"
        assert may_connect(hub, VICTIM)
        # Confirmed submissions are answered, and HTTP is open.
        with hub.partner(HOSTILE) as over_http:

            def answers() -> list[str] | None:
                told = [one["data"] for one in over_http.mailbox()["items"]]
                return [one["message_id"] for one in told if one.get("message_id") == confirmed] or None

            assert until(answers, "the answer to what was confirmed") == [confirmed]
        assert metric(hub, _BANS) == 1.0
    # Another process of the gateway knows of no ban.
    restart_gateway(hub)
    until(lambda: may_connect(hub, HOSTILE), "access after the restart", within=60)
    until(lambda: waiting(hub, HOSTILE) == 0, "answers to the flood", within=120)
    with hub.program(HOSTILE) as hostile:
        assert hostile.answer_to(confirmed)["problem"]["type"] == "urn:kopuro:problem:not-found"
        assert hostile.answer_to(hostile.submit(progress))["problem"]["status"] == 404


def test_documented_maximum_is_never_banned(hub: AmqpHub) -> None:
    """As many as the queue takes are sent at once, in a long run twice; five connections read the answers."""
    until(lambda: metric(hub, _BANNED) == 0.0, "a gateway that bans nobody")
    number = times(1, 2) * MOST_SUBMISSIONS
    body = b"x" * 13_000  # no JSON: the gateway answers without the hub, faster than the rate of referrals
    with contextlib.ExitStack() as stack:
        reading = stack.enter_context(hub.program(LAWFUL))
        for _ in range(3):
            stack.enter_context(contextlib.closing(link(hub)))
        publishing = stack.enter_context(contextlib.closing(link(hub)))
        channel = publishing.channel()
        channel.confirm_select()
        keys = {f"lawful-{place}" for place in range(number)}
        for key in keys:
            while True:
                message = amqp.Message(body, message_id=key, user_id=LAWFUL, delivery_mode=2)
                try:
                    channel.basic_publish_confirm(message, exchange_of(LAWFUL))
                    break
                except amqp.exceptions.MessageNacked:
                    time.sleep(1)
        deadline = time.monotonic() + 240
        while missing := keys - {one["data"].get("message_id") for one in reading.seen.values()}:
            assert time.monotonic() < deadline, f"{len(missing)} answers are missing"
            for _ in range(10):
                reading.take(0.2)
    assert metric(hub, _BANS) == 0.0


def link(hub: AmqpHub) -> amqp.Connection:
    return broker_floods.connected(host(hub), LAWFUL, hub.passwords[LAWFUL])
