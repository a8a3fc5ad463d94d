"""The life of a transit key, to which intake seals the messages for the vault.

The vault makes a key, publishes it, and makes the next one when its period is over. Intake uses the newest
key that it knows, whatever its age, so an absent vault stops no admission. When it learns of a newer key, it
says how many messages it has sealed to the earlier one. The vault counts the messages that it has read, each
once (its inbox recognises repetitions). When both counts are equal, no message is left anywhere: not in
intake's outbox, at the broker, among the retries or the dead letters. Then the key is destroyed.

The counts never become equal after an operator discarded a dead letter, or restored a database. Such a key is
destroyed when a newer one has been in use for `QUIET`, and for all of the last `WATCHED` nothing was waiting.

Only the vault's clock orders its keys, so the clocks of the services need not agree.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

QUIET = dt.timedelta(days=1)
WATCHED = dt.timedelta(hours=1)
_LEAST_STEP = dt.timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitKey:
    """published_at: in UTC. opened: messages read. sealed, closed_at: None while intake may use the key."""

    kid: str
    published_at: dt.datetime
    opened: int = 0
    sealed: int | None = None
    closed_at: dt.datetime | None = None


def is_next_due(keys: Sequence[TransitKey], now: dt.datetime, period: dt.timedelta) -> bool:
    """Return whether a new key is needed. keys: oldest first."""
    return not keys or now - keys[-1].published_at >= period


def next_published_at(keys: Sequence[TransitKey], now: dt.datetime) -> dt.datetime:
    """Return the time of a new key: now, but always later than that of every earlier key."""
    return max([now, *(key.published_at + _LEAST_STEP for key in keys)])


def spent(
    keys: Sequence[TransitKey], now: dt.datetime, *, settle: dt.timedelta, idle_since: dt.datetime | None
) -> list[TransitKey]:
    """Return the keys to destroy. The newest key is never one of them.

    keys: oldest first. settle: how long a closed key is kept in any case. idle_since: since when nothing has
    been waiting for the vault; None: something is.
    """
    idle = idle_since is not None and now - idle_since >= WATCHED
    found = []
    for number, key in enumerate(keys[:-1]):
        counted = key.closed_at is not None and key.opened == key.sealed and now - key.closed_at >= settle
        later = [one for one in keys[number + 1 :] if one.opened or one.closed_at is not None]
        superseded = any(now - one.published_at >= QUIET for one in later)
        if counted or (superseded and idle):
            found.append(key)
    return found
