"""When the end of a secret or a key is announced: 30 days, 7 days and 1 day ahead."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from services.directory.domain.client import Client

STAGES: Final = (30, 7, 1)  # days
SECRET: Final = "secret"  # noqa: S105 - names the present secret in a notice; a key has its `kid`


@dataclass(frozen=True, kw_only=True, slots=True)
class Expiry:
    """The end of one credential of a client. credential: `SECRET`, or the key's id."""

    client: Client
    credential: str
    expires_at: dt.datetime

    def stage(self, now: dt.datetime) -> int | None:
        """Return the least number of days of STAGES that is left; None earlier, and after the end."""
        left = self.expires_at - now
        if left <= dt.timedelta():
            return None
        return min((days for days in STAGES if left <= dt.timedelta(days=days)), default=None)


def expiries(clients: Iterable[Client]) -> Iterator[Expiry]:
    """Yield the ends of all credentials of live clients. A retiring secret is left out: it is replaced."""
    for client in clients:
        if not client.live:
            continue
        if client.secret_sha256 and client.secret_expires_at is not None:
            yield Expiry(client=client, credential=SECRET, expires_at=client.secret_expires_at)
        for key in client.keys:
            if key.expires_at is not None:
                yield Expiry(client=client, credential=key.kid, expires_at=key.expires_at)


def expiring(found: Iterable[Expiry], now: dt.datetime) -> dict[int, int]:
    """Return how many credentials end within each number of days of STAGES; 0: how many have ended."""
    counts = dict.fromkeys((*STAGES, 0), 0)
    for expiry in found:
        left = expiry.expires_at - now
        if left <= dt.timedelta():
            counts[0] += 1
            continue
        for days in STAGES:
            counts[days] += left <= dt.timedelta(days=days)
    return counts
