"""Shares of the requests that one caller has in progress."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from contracts.errors import Unavailable
from runtime.access import caller_limits
from runtime.access.caller_limits import CallerLimits, Share

ACTIVE = {
    Share.read: 16,
    Share.report: 2,
    Share.simulation: 1,
    Share.change: 16,
    Share.batch: 2,
    Share.long_poll: 256,
    Share.credentials: 4,
}


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller_limits, "WAIT_SECONDS", 0.01)


@pytest.mark.parametrize("share", Share)
def test_full_share_refuses_its_caller_and_share_only(share: Share) -> None:
    limits = CallerLimits()
    with ExitStack() as held:
        for _ in range(ACTIVE[share]):
            held.enter_context(limits.slot("kg.flood", share))
        with pytest.raises(Unavailable) as caught, limits.slot("kg.flood", share):
            pytest.fail("more requests than the share allows")
        assert caught.value.retry_after > 0
        for other in set(Share) - {share}:
            with limits.slot("kg.flood", other):
                pass
        with limits.slot("kg.other", share):
            pass
    with limits.slot("kg.flood", share):
        pass


def test_waiting_request_gets_the_slot_that_becomes_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller_limits, "WAIT_SECONDS", 20.0)
    limits = CallerLimits()
    free = threading.Event()
    most = [0]
    active: list[int] = []

    def work(number: int) -> None:
        with limits.slot("kg.flood", Share.batch):
            active.append(number)
            most[0] = max(most[0], len(active))
            free.wait(20)
            active.remove(number)

    with ThreadPoolExecutor(8) as callers:
        done = [callers.submit(work, number) for number in range(8)]
        free.set()
        for one in done:
            one.result()
    assert most[0] == ACTIVE[Share.batch]


def test_waiting_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller_limits, "WAIT_SECONDS", 20.0)
    limits = CallerLimits()
    with ExitStack() as held, ThreadPoolExecutor(64) as callers:
        for _ in range(ACTIVE[Share.batch]):
            held.enter_context(limits.slot("kg.flood", Share.batch))

        def attempt() -> bool:
            try:
                with limits.slot("kg.flood", Share.batch):
                    return True
            except Unavailable:
                return False

        attempts = [callers.submit(attempt) for _ in range(40)]
        end = time.monotonic() + 10
        while sum(one.done() for one in attempts) < 8 and time.monotonic() < end:
            time.sleep(0.01)
        held.close()
    assert sum(one.result() for one in attempts) == 32  # the others were refused


def test_ended_requests_leave_no_record_of_their_caller() -> None:
    limits = CallerLimits()
    with limits.slot("kg.flood", Share.read):
        pass
    assert not limits._requests


@pytest.mark.parametrize(("drawn", "seconds"), [(0.0, 5.0), (0.5, 7.5), (1.0, 10.0)])
def test_wait_for_a_slot_is_drawn_from_half_of_the_longest(
    drawn: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    class Taken:
        def __init__(self, _active: int) -> None:
            pass

        def acquire(self, *, timeout: float) -> bool:
            waited.append(timeout)
            return False

    monkeypatch.setattr(caller_limits, "WAIT_SECONDS", 10.0)
    monkeypatch.setattr(threading, "Semaphore", Taken)
    with pytest.raises(Unavailable), CallerLimits(lambda: drawn).slot("kg.flood", Share.read):
        pytest.fail("no slot was free")
    assert waited == [seconds]
