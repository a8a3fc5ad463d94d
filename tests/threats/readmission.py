"""Waiting for an organisation that was excluded: services learn of a record one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.threats.doors import Door, doors_of

SECONDS = 5.0


@contextmanager
def readmitted_after(hub: RunningHub, organization: str) -> Iterator[None]:
    """After a block that excludes an organisation and readmits it, wait until every service admits it."""
    token = hub.token(organization)
    reads = [door for door in doors_of("partner") if door.method == "GET"]
    admitted = [door for door in reads if not refuses(door, hub, token)]
    assert {door.service for door in admitted} == {door.service for door in doors_of("partner")}
    yield
    until(lambda: not any(refuses(door, hub, token) for door in admitted), "the readmission", within=SECONDS)


def refuses(door: Door, hub: RunningHub, token: str) -> bool:
    """Return whether the door refuses the token's organisation as excluded."""
    return door.refusal(hub, token) == (403, "forbidden")
