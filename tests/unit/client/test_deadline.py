"""Calls within and beyond their deadline."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from kopuro_client.deadline import Deadline


def test_deadline_passes_on_result_and_error() -> None:
    deadline = Deadline()
    assert deadline.run(lambda: 7, seconds=5) == 7
    with pytest.raises(ZeroDivisionError):
        deadline.run(lambda: 1 // 0, seconds=5)


def test_call_beyond_deadline_raises_timeout_error() -> None:
    deadline = Deadline()
    done = threading.Event()
    with pytest.raises(TimeoutError):
        deadline.run(lambda: done.wait(10), seconds=0.05)
    assert deadline.run(lambda: 8, seconds=5) == 8
    done.set()


def test_deadline_threads_are_reused_and_end_with_their_owner() -> None:
    deadline = Deadline()
    done = threading.Event()
    with pytest.raises(TimeoutError):
        deadline.run(lambda: done.wait(10), seconds=0.05)
    first = deadline.run(threading.current_thread, seconds=5)
    assert all(deadline.run(threading.current_thread, seconds=5) is first for _ in range(20))
    done.set()
    del deadline
    gc.collect()
    limit = time.monotonic() + 5
    while first.is_alive():
        assert time.monotonic() < limit
        time.sleep(0.01)
