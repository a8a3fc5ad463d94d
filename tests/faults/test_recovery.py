"""Intake behind a network that fails in each known way: what it can still do, and that it recovers alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contracts.facts import ReferralSubmitted
from sandbox.broker import PrivateBroker
from tests.crash.crashing import Listener, until
from tests.faults.scene import ANSWERED_WITHIN, Scene, unavailable
from tests.faults.tcp_proxy import TcpProxy

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

RECOVERED_WITHIN = 15.0


def slow_down(proxy: TcpProxy) -> None:
    proxy.delay = 0.4


def hold_closes_back(proxy: TcpProxy) -> None:
    proxy.lingering.set()
    proxy.hang_up()


# What is done to the network, and whether questions can still be answered meanwhile.
FAULTS: dict[str, tuple[Callable[[TcpProxy], None], bool]] = {
    "delay": (slow_down, True),
    "drop": (lambda proxy: proxy.swallow.set(), False),
    "half-open": (TcpProxy.forget_all, False),
    "reset": (TcpProxy.reset_all, False),
    "slow close": (hold_closes_back, False),
    "partition": (lambda proxy: proxy.frozen.set(), False),
}


@pytest.fixture(scope="module")
def way(broker: PrivateBroker) -> Iterator[tuple[str, str, TcpProxy]]:
    """The URI of a virtual host, the same by way of a proxy, and the proxy."""
    uri = broker.add_vhost("faulty-network")
    parts = urlsplit(uri)
    assert parts.hostname is not None
    assert parts.port is not None
    with TcpProxy((parts.hostname, parts.port)) as proxy:
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"
        yield uri, parts._replace(netloc=netloc).geturl(), proxy
    broker.remove_vhost("faulty-network")


@pytest.fixture(scope="module")
def scene(way: tuple[str, str, TcpProxy], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One intake that goes through all the faults."""
    uri, proxied, _ = way
    made = Scene(uri, tmp_path_factory.mktemp("faulty-network"), intake_uri=proxied)
    with made.intake, made.routing():
        made.intake.until_ready()
        yield made


@pytest.fixture
def listener(scene: Scene, tmp_path: Path) -> Iterator[Listener]:
    made = Listener(scene.amqp_uri, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("fault", list(FAULTS))
def test_intake_admits_meanwhile_and_recovers_by_itself(
    way: tuple[str, str, TcpProxy], scene: Scene, listener: Listener, fault: str
) -> None:
    _, _, proxy = way
    until(lambda: scene.query().status_code == 200, "everything works before")
    consumed_before = scene.offers_consumed()
    inflict, answers = FAULTS[fault]
    inflict(proxy)
    try:
        started = time.monotonic()
        admitted = scene.submit()
        assert admitted.status_code == 202
        assert time.monotonic() - started < 2
        scene.tell_an_offer()
        question = scene.query()
        assert time.monotonic() - started < ANSWERED_WITHIN
        assert unavailable(question) or question.status_code == 200
        assert not answers or question.status_code == 200
    finally:
        proxy.heal()
    healed = time.monotonic()
    until(lambda: scene.query().status_code == 200, "questions are answered again")
    until(lambda: scene.offers_consumed() == consumed_before + 1, "what others say arrives, once")
    referral = admitted.json()["id"]
    until(lambda: referral in heard(listener), "what was admitted leaves")
    assert time.monotonic() - healed < RECOVERED_WITHIN
    assert heard(listener).count(referral) == 1


def heard(listener: Listener) -> list[str]:
    return [fact.referral_id for fact in listener.effects(ReferralSubmitted)]
