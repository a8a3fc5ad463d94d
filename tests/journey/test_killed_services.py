"""Each service killed in the middle of a referral: it restarts, and the loop still closes."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import httpx
import pytest

from kopuro_client import RefusedError, TransportError, UnavailableError
from sandbox.hub_files import SERVICES
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.long_run import combinations

# Facts that must occur exactly once, despite kills and redelivery.
ONCE = (
    "referral.submitted",
    "offer.opened",
    "answer.submitted",
    "offer.accepted",
    "case.released",
    "referral.completed",
    "case.erased",
)

T = TypeVar("T")

on_sqlite = pytest.mark.parametrize("hub", ["sqlite"], indirect=True)


@on_sqlite
@pytest.mark.parametrize(("service", "moment"), combinations(SERVICES, ("submitted", "accepted")))
def test_loop_closes_after_service_was_killed(hub: RunningHub, service: str, moment: str) -> None:
    restarts = hub.restarts(service)
    sender, referral_id = hub.submit("consulate-forbidden")
    if moment == "submitted":
        _kill(hub, service)
    acceptor, offer_id = _persist(lambda: hub.next_offer(sender, referral_id))
    # An answer that comes twice takes effect once.
    _persist(lambda: acceptor.hub.accept(offer_id))
    if moment == "accepted":
        _kill(hub, service)
    _persist(lambda: acceptor.await_message("case.released", referral_id))
    assert _persist(lambda: acceptor.hub.case(referral_id))["phones"]
    _persist(lambda: acceptor.hub.complete(referral_id, "resolved"))
    _persist(lambda: sender.await_message("referral.completed", referral_id))

    told = Counter(entry["type"] for entry in _persist(lambda: hub.history(referral_id, last="case.erased")))
    assert {fact: told[f"kopuro.{fact}.v1"] for fact in ONCE} == dict.fromkeys(ONCE, 1)
    until(lambda: hub.restarts(service) == restarts + 1, f"the second start of {service}")
    until(lambda: _ready(hub, service), f"{service} ready again")


def _kill(hub: RunningHub, service: str) -> None:
    os.kill(hub.pid(service), signal.SIGKILL)


def _persist(act: Callable[[], T], *, within: float = 30.0) -> T:
    """Repeat a request, as partners do while a service is restarting."""

    def attempt() -> tuple[T] | None:
        try:
            return (act(),)
        except (TransportError, UnavailableError):
            return None
        except RefusedError as refused:
            # A case that is on its way to a service that was killed.
            if refused.status != 404:
                raise
            return None

    return until(attempt, "an answer", within=within)[0]


def _ready(hub: RunningHub, service: str) -> bool:
    try:
        return hub.operations(service, "/readyz").status_code == 200
    except httpx.TransportError:
        return False
