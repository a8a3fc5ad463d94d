"""Admissions: everything that a submission writes, decided before the transaction begins."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from contracts.envelope import Event
from contracts.errors import KopuroError, drop_frames
from contracts.facts import Fact
from contracts.idempotency_key import MAXIMUM_KEY, require_well_formed
from contracts.quick_init import quick_init
from contracts.records import canonical

MAXIMUM_LINES = 1000  # lines of a batch
# A batch's key is stored with the line number appended.
_MAXIMUM_NUMBER = 9_999
MAXIMUM_BATCH_KEY = MAXIMUM_KEY - len(f"\n{_MAXIMUM_NUMBER}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """An Idempotency-Key and the body it came with.

    fingerprint: SHA-256 of the body's bytes, hexadecimal. understood: SHA-256 of the parsed body in
    canonical form, None before parsing and for a body that does not parse. batch_key: for a line of a batch
    without a key of its own, the batch's key.
    """

    organization: str
    key: str
    fingerprint: str
    understood: str | None = None
    batch_key: str | None = None

    @property
    def content_key(self) -> str | None:
        """The key under which a batch's line is stored by its content, whatever its number.

        A line that has moved would otherwise look new under its new number. It cannot equal a partner's key,
        which may not contain a line feed.
        """
        if self.batch_key is None or self.understood is None:
            return None
        return "\n" + hashlib.sha256(f"{self.batch_key}\n{self.understood}".encode()).hexdigest()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key under which the claim is stored."""
        return (self.key,) if self.content_key is None else (self.key, self.content_key)

    def understood_as(self, name: str, subject: str, record: object) -> Claim:
        """Return the claim with `understood`: the digest of command name, subject id and parsed body."""
        content = b"\n".join((name.encode(), subject.encode(), canonical(record)))
        return replace(self, understood=hashlib.sha256(content).hexdigest())

    def repeats(self, used: UsedKey) -> bool:
        """Return whether the key was used for the same bytes, or for an equal parsed body."""
        return self.fingerprint == used.fingerprint or (
            self.understood is not None and self.understood == used.understood
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class UsedKey:
    """A stored claim. understood: None for a key that is older than this field."""

    fingerprint: str
    understood: str | None
    answer_id: str


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """The rows and events of an admitted submission.

    id: the id in the response: the referral's for a new referral, else the submission's. is_emergency: for a
    new referral and a replaced case, whether the referral is an emergency.
    """

    id: str
    referral_id: str
    organization: str
    events: tuple[Event[Fact], ...]
    is_referral: bool = False
    is_emergency: bool = False
    claim: Claim | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A submission that is not admitted, and why. A repeated submission still gets its first id."""

    organization: str
    error: KopuroError
    claim: Claim | None
    is_referral: bool = False

    def __post_init__(self) -> None:
        drop_frames(self.error)


Prepared = Admission | Refusal


def claim_of(organization: str, key: str | None, body: bytes, *, pointer: str | None = None) -> Claim | None:
    """Return the claim of a request, or None if there is no key. Raises Refused for a malformed key.

    pointer: the key's place in the body; None when it came in a header.
    """
    if key is None:
        return None
    require_well_formed(key, pointer=pointer)
    return Claim(organization=organization, key=key, fingerprint=hashlib.sha256(body).hexdigest())


def claim_of_line(organization: str, batch_key: str, number: int, line: bytes) -> Claim:
    """Return the claim of a line without its own key: the batch's key with the line number, from 1.

    It cannot equal a partner's key, which may not contain a line feed. batch_key: see `require_batch_key`.
    """
    return Claim(
        organization=organization,
        key=_key_of_line(batch_key, number),
        fingerprint=hashlib.sha256(line).hexdigest(),
        batch_key=batch_key,
    )


def keys_of_batch(batch_key: str) -> list[str]:
    """Return the keys of a batch's lines that have no own key, blank lines included."""
    return [_key_of_line(batch_key, number) for number in range(1, MAXIMUM_LINES + 1)]


def _key_of_line(batch_key: str, number: int) -> str:
    return f"{batch_key}\n{number}"


def require_batch_key(key: str | None) -> str | None:
    """Return the Idempotency-Key of a whole batch. Raises Refused for a malformed key."""
    if key is not None:
        require_well_formed(key, MAXIMUM_BATCH_KEY, where=" for a batch")
    return key


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """The caller of a request, with what its events' envelopes need.

    excluded: it may not use the hub any more; only a repeated submission gets an answer, its first id.
    """

    organization: str
    source: str
    now: dt.datetime
    traceparent: str | None
    new_id: Callable[[], str]
    # For referrals. The acceptor of a part knows ids that were made at the same moment, and must not be
    # able to compute the whole's from them.
    new_referral_id: Callable[[], str]
    excluded: bool = False

    def admission(
        self,
        *facts: Fact,
        referral_id: str,
        answer_id: str | None = None,
        is_referral: bool = False,
        is_emergency: bool = False,
        claim: Claim | None = None,
    ) -> Admission:
        """Return an admission with the facts in envelopes. The first fact causes the others."""
        submission_id = self.new_id()
        events = tuple(
            Event(
                id=submission_id if position == 0 else self.new_id(),
                source=self.source,
                time=self.now,
                partition_key=referral_id,
                correlation_id=submission_id,
                causation_id=None if position == 0 else submission_id,
                traceparent=self.traceparent,
                data=fact,
            )
            for position, fact in enumerate(facts)
        )
        return Admission(
            id=answer_id or submission_id,
            referral_id=referral_id,
            organization=self.organization,
            events=events,
            is_referral=is_referral,
            is_emergency=is_emergency,
            claim=claim,
        )
