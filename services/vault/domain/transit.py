"""The lifecycle of a transit key, to which intake seals the messages for the vault.

The vault makes a key, publishes it, and makes the next one when its period is over. A running intake uses the
newest key that it knows, whatever its age, so an absent vault stops no admission. An intake that starts uses
no key that the vault may have destroyed. When intake learns of a newer key, it says how many messages it has
sealed to the earlier one. The vault counts the messages that it has read, each once (its inbox recognises
repetitions). When both counts are equal, no message is left anywhere: not in intake's outbox, at the broker,
among the retries or the dead letters. Then the key is destroyed.

The counts say nothing of a key that a restored database did not know, and never become equal after an
operator discarded a dead letter. A key is destroyed when a newer one has been in use for `QUIET`, and no
message from before the last `WATCHED` is waiting (`quiet_window.py`). Messages are delivered in order, so
those sealed to the earlier key have all been delivered once.

Only the vault's clock orders its keys. If it was ahead once, the next key is made on time anyway.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

QUIET = dt.timedelta(days=1)
WATCHED = dt.timedelta(hours=1)
AHEAD = dt.timedelta(minutes=5)  # more than several keys published at one moment are apart
_LEAST_STEP = dt.timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitKey:
    """published_at: in UTC. opened: messages read. sealed, closed_at: None while intake may use the key."""

    kid: str
    published_at: dt.datetime
    opened: int = 0
    sealed: int | None = None
    closed_at: dt.datetime | None = None


def is_next_due(
    keys: Sequence[TransitKey], now: dt.datetime, period: dt.timedelta, made_at: dt.datetime | None = None
) -> bool:
    """Return whether a new key is needed.

    keys: oldest first. made_at: when this process made the last one, None before its first. It counts only if
    the time of the newest key is in the future, because the clock was ahead when it was published.
    """
    if not keys:
        return True
    newest = keys[-1].published_at
    if newest > now + AHEAD:
        if made_at is None or made_at > now:
            return True
        newest = made_at
    return now - newest >= period


def next_published_at(keys: Sequence[TransitKey], now: dt.datetime) -> dt.datetime:
    """Return the time of a new key: now, but always later than that of every earlier key."""
    return max([now, *(key.published_at + _LEAST_STEP for key in keys)])


def spent(
    keys: Sequence[TransitKey],
    now: dt.datetime,
    *,
    settle: dt.timedelta,
    quiet_since: dt.datetime | None,
    republished: Collection[str] = (),
) -> list[TransitKey]:
    """Return the keys to destroy. The newest key is never one of them.

    keys: oldest first. settle: how long a closed key is kept at least. quiet_since: since when no message
    of an earlier time has been waiting for the vault (`QuietWindow`); None: one may be. republished: ids of
    keys that were published again: their counts are not those of all their messages.
    """
    is_quiet = quiet_since is not None and now - quiet_since >= WATCHED
    found = []
    for number, key in enumerate(keys[:-1]):
        settled = key.closed_at is not None and now - key.closed_at >= settle
        counted = settled and key.opened == key.sealed and key.kid not in republished
        later = [one for one in keys[number + 1 :] if one.opened or one.closed_at is not None]
        superseded = any(now - one.published_at >= QUIET for one in later)
        if counted or (superseded and is_quiet):
            found.append(key)
    return found
