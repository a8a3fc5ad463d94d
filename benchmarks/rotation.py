"""Replacement of the custody key, the token key and the log key while loops run.

Every loop is a referral from its submission to its completion. A refused request ends the measurement with
Rejected; a case that nobody could open, or a loop that is not closed, is counted.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from admin.key_rotation import KeyPlaces, retire_custody, rotate_custody, rotate_log, rotate_token
from benchmarks.driver import Driver
from benchmarks.kopuro_hub import KopuroHub
from benchmarks.story import story
from sandbox.hub_files import HUB

_UNREADABLE: Final = ("kopuro.case.refused.v1", "kopuro.case.unreadable.v1")
_DRAIN_SECONDS: Final = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotation:
    """Closed loops, by the custody key of their cases. unreadable: cases that nobody could open."""

    with_earlier_key: int
    with_new_key: int
    unreadable: int


def measure_rotation(hub: KopuroHub, *, rate: float, seconds: float) -> Rotation:
    """Rotate each key of a started hub at this many loops a second. Raises Rejected and TimeoutError."""
    places = _places(hub)
    steps: list[Callable[[], object]] = [
        lambda: rotate_custody(places, now=dt.datetime.now(dt.UTC)),
        lambda: rotate_token(places),
        lambda: rotate_log(places),
        lambda: os.kill(hub.pids()["audit"], signal.SIGTERM),  # its supervisor starts it again
    ]
    earlier = asyncio.run(_loops(hub, rate, seconds, steps))
    new = asyncio.run(_loops(hub, rate, seconds / 2, []))
    retire_custody(places, now=dt.datetime.now(dt.UTC) + dt.timedelta(hours=25))
    return Rotation(
        with_earlier_key=earlier,
        with_new_key=new,
        unreadable=sum(hub.audited(fact) for fact in _UNREADABLE),
    )


async def _loops(hub: KopuroHub, rate: float, seconds: float, steps: list[Callable[[], object]]) -> int:
    # The story is sealed to the custody key that is announced now.
    async with Driver(hub, story(hub.custody_key(), dt.datetime.now(dt.UTC))) as driver:
        load = asyncio.create_task(driver.offer_load(rate, seconds=seconds))
        for step in steps:
            await asyncio.sleep(seconds / (len(steps) + 1))
            await asyncio.to_thread(step)
        await load
        await driver.all_closed(_DRAIN_SECONDS)
        return driver.closed


def _places(hub: KopuroHub) -> KeyPlaces:
    return KeyPlaces(
        custody=hub.files.key("custody"),
        token=hub.files.key("token"),
        log=hub.files.key("log"),
        discovery=hub.files.discovery,
        published_log=hub.files.published_log,
        hub=HUB,
        environments={
            service: {"KOPURO_DATABASE_URL": hub.database_url(service), "KOPURO_AMQP_URI": hub.amqp_uri}
            for service in ("intake", "vault")
        },
    )
