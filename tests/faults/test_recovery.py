"""Intake with each kind of network fault: what still works, and that it recovers by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.facts import ReferralSubmitted
from sandbox.broker import PrivateBroker
from tests.crash.crashing import Listener, until
from tests.faults.intake_harness import ANSWERED_WITHIN, IntakeHarness, unavailable
from tests.faults.network import FAULTS
from tests.faults.tcp_proxy import TcpProxy

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

RECOVERED_WITHIN = 15.0


@pytest.fixture(scope="module")
def way(module_vhost: str) -> Iterator[TcpProxy]:
    """A proxy to the virtual host of these tests."""
    with TcpProxy(module_vhost) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def harness(
    module_vhost: str, way: TcpProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IntakeHarness]:
    """One intake that goes through all the faults."""
    made = IntakeHarness(module_vhost, tmp_path_factory.mktemp("faulty-network"), intake_uri=way.uri)
    with made.intake, made.routing():
        made.intake.until_ready()
        yield made


@pytest.fixture
def listener(harness: IntakeHarness, tmp_path: Path) -> Iterator[Listener]:
    made = Listener(harness.amqp_uri, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("fault", list(FAULTS))
def test_intake_with_network_fault_admits_and_recovers(
    way: TcpProxy, harness: IntakeHarness, listener: Listener, fault: str
) -> None:
    until(lambda: harness.query().status_code == 200, "everything works before")
    consumed_before = harness.offers_consumed()
    FAULTS[fault](way)
    try:
        started = time.monotonic()
        admitted = harness.submit()
        assert admitted.status_code == 202
        assert time.monotonic() - started < 2
        harness.publish_offer()
        response = harness.query()
        assert time.monotonic() - started < ANSWERED_WITHIN
        assert unavailable(response) or response.status_code == 200
        assert response.status_code == 200 or fault != "delay"
    finally:
        way.heal()
    healed = time.monotonic()
    until(lambda: harness.query().status_code == 200, "queries get replies again")
    until(lambda: harness.offers_consumed() == consumed_before + 1, "what others say arrives, once")
    referral = admitted.json()["id"]
    until(lambda: referral in heard(listener), "what was admitted leaves")
    assert time.monotonic() - healed < RECOVERED_WITHIN
    assert heard(listener).count(referral) == 1


def test_readiness_reports_that_the_broker_is_unavailable(way: TcpProxy, harness: IntakeHarness) -> None:
    until(lambda: harness.paused() is None, "nothing to tell before")
    way.swallow.set()
    try:
        offers = "consumer of intake.offers paused for"
        until(lambda: offers in str(harness.paused()), "each link is given up after two heartbeats")
        watch = "watch of the broker paused for"
        until(lambda: watch in str(harness.paused()), "every service has this loop, whatever it consumes")
        harness.submit()
        until(lambda: "relay paused for" in str(harness.paused()), "there is something to publish now")
        assert harness.paused_seconds() > 0
    finally:
        way.heal()
    until(lambda: harness.paused() is None, "it went on by itself")
    assert harness.paused_seconds() == 0


def test_readiness_warns_of_broker_that_is_stopped(
    own_broker: PrivateBroker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    uri = own_broker.add_vhost("stopped")
    made = IntakeHarness(uri, tmp_path_factory.mktemp("stopped-broker"))
    with made.intake, made.routing():
        made.intake.until_ready()
        until(lambda: made.paused() is None, "nothing to tell before")
        own_broker.kill()
        watch = "watch of the broker paused for"
        until(lambda: watch in str(made.paused()), "no connection to the broker can be made")
        own_broker.restart()
        until(lambda: made.paused() is None, "it went on by itself")


def heard(listener: Listener) -> list[str]:
    return [fact.referral_id for fact in listener.effects(ReferralSubmitted)]
