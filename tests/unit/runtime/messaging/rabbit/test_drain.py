"""Waiting for frames from the broker."""

from __future__ import annotations

import gc
import traceback
import weakref
from collections.abc import Iterator
from typing import Any

import eventlet
import pytest
from eventlet.green import socket

from runtime.messaging.rabbit.connection import drain


class Message:
    """What a caller keeps in a variable."""


class Link:
    """A connection on which nothing arrives."""

    def __init__(self, peer: Any) -> None:
        self._peer = peer

    def drain_events(self, timeout: float) -> None:
        self._peer.settimeout(timeout)
        self._peer.recv(1)


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
def test_wait_without_result_does_not_keep_a_message_of_its_caller_alive() -> None:
    near, far = socket.socketpair()
    kept: list[weakref.ref[Message]] = []

    def take() -> None:
        assert not drain(Link(near), 0.001)
        message = Message()
        kept.append(weakref.ref(message))

    eventlet.spawn(take).wait()
    assert kept[0]() is None
    near.close()
    far.close()


def test_fault_that_a_caller_handles_keeps_its_frames_when_a_wait_times_out() -> None:
    near, far = socket.socketpair()

    def failed() -> None:
        raise ValueError

    def handle() -> ValueError:
        try:
            failed()
        except ValueError as fault:
            assert not drain(Link(near), 0.001)
            return fault
        raise AssertionError

    fault = eventlet.spawn(handle).wait()
    assert fault.__traceback__ is not None
    assert [frame.name for frame in traceback.extract_tb(fault.__traceback__)] == ["handle", "failed"]
    near.close()
    far.close()
