"""An organisation's sealing keys, present and past, and proof of possession of the present one."""

from __future__ import annotations

import datetime as dt
import hmac
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from contracts.codes import KeyManner
from contracts.errors import Refused
from contracts.organization import (
    MOST_EARLIER_KEYS,
    Organization,
    ReplacedKey,
    SealingKey,
    SealingKeyChange,
)

CHALLENGE_VALID_FOR: Final = dt.timedelta(minutes=10)
# Open at a time for each organisation. A full table voids none of them. The shipped rate of requests lets one
# organisation open fewer in that time, so that a thief of its secret cannot keep the owner from opening one.
MOST_CHALLENGES: Final = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptKey:
    """A sealing key and the time that it was the organisation's. until: None for the present key."""

    organization: str
    key: SealingKey
    since: dt.datetime
    manner: KeyManner
    by: str
    approved_by: str | None = None
    until: dt.datetime | None = None


# How long an organisation may object to a key that was approved without proof of the one before.
OBJECTION: Final = dt.timedelta(days=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """A secret answer, sealed to the present key: its holder proves that it requested the new key.

    key: the new key; previous: the kid of the key that the answer is sealed to; answer_sha256: hexadecimal.
    """

    id: str
    organization: str
    key: SealingKey
    previous: str
    answer_sha256: str
    expires_at: dt.datetime


def with_key(present: Organization, key: SealingKey, *, manner: KeyManner, at: dt.datetime) -> Organization:
    """Return the record with the new key and its manner. The first key has the manner `first`.

    Keys that are accepted stay so until their own end. A proof by a key that was approved less than OBJECTION
    ago proves nothing. The replacement counts as approved at the time of that approval, so that it does not
    end the vault's pause.
    """
    before = present.sealing_key_change
    key_before = present.sealing_key
    change = SealingKeyChange(
        at=at,
        manner=KeyManner.first if key_before is None else manner,
        previous=key_before.kid if key_before is not None and manner is KeyManner.proved else None,
        earlier=_still_accepted(before, key, at) if manner is KeyManner.proved else (),
    )
    if (
        change.manner is KeyManner.proved
        and before is not None
        and before.manner is KeyManner.approved
        and at - before.at < OBJECTION
    ):
        change = before
    return replace(present, sealing_key=key, sealing_key_change=change)


def manner_of(before: Organization | None, after: Organization) -> KeyManner:
    """Return the authority behind the key that a change gives the record. before: None for a new record.

    The history of keys and the notice both say it. A record that does not say how it got its key has its
    first one, or one without proof, which counts as approved.
    """
    if after.sealing_key_change is not None:
        return after.sealing_key_change.manner
    return KeyManner.first if before is None or before.sealing_key is None else KeyManner.approved


def _still_accepted(
    change: SealingKeyChange | None, new: SealingKey, at: dt.datetime
) -> tuple[ReplacedKey, ...]:
    keys = () if change is None else change.replaced
    return tuple(key for key in keys if at < key.until and key.kid != new.kid)[:MOST_EARLIER_KEYS]


def check_answer(
    challenge: Challenge | None, answer: str, present: str | None, now: dt.datetime
) -> Challenge:
    """Return the challenge that the answer meets. present: the kid of the organisation's key now.

    Raises Refused `not-found` for an unknown, used or expired challenge, `conflict` if the key has changed
    since, and `forbidden` for a wrong answer.
    """
    if challenge is None or now >= challenge.expires_at:
        raise Refused("not-found", "The challenge is unknown, used or expired. Send the new key again.")
    if challenge.previous != present:
        raise Refused("conflict", "The key has been replaced since the challenge. Send the new key again.")
    if not hmac.compare_digest(sha256(answer.encode()).hexdigest(), challenge.answer_sha256):
        raise Refused("forbidden", "The answer is wrong: it must come from the key that is being replaced.")
    return challenge
