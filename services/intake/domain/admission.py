"""An admission: everything that one submission writes, decided before the transaction begins."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from contracts.envelope import Event
from contracts.errors import PointerError, Refused
from contracts.facts import Fact

MAXIMUM_KEY = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """An Idempotency-Key and the body it came with. fingerprint: SHA-256 of the body, hexadecimal."""

    organization: str
    key: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """id: of the referral for a referral, else of the submission: what the partner is answered.

    referral: the sender of a new referral, None for everything else.
    """

    id: str
    referral_id: str
    organization: str
    events: tuple[Event[Fact], ...]
    is_referral: bool = False
    claim: Claim | None = None


def claim_of(organization: str, key: str | None, body: bytes, *, pointer: str | None = None) -> Claim | None:
    """The claim of a request; None without a key. Raises Refused for a key nobody could repeat.

    pointer: where the key stands in the body; None when it came in a header.
    """
    if key is None:
        return None
    if not key or len(key) > MAXIMUM_KEY or not key.isascii() or not key.isprintable():
        detail = f"An Idempotency-Key has 1 to {MAXIMUM_KEY} printable ASCII characters."
        where = () if pointer is None else (PointerError(pointer=pointer, detail=detail),)
        raise Refused("invalid-parameter", detail, errors=where)
    return Claim(organization=organization, key=key, fingerprint=hashlib.sha256(body).hexdigest())


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaker:
    """Who is speaking and when, from whom an admission's events take their envelopes."""

    organization: str
    source: str
    now: dt.datetime
    traceparent: str | None
    new_id: Callable[[], str]

    def admission(
        self,
        *facts: Fact,
        referral_id: str,
        answer_id: str | None = None,
        is_referral: bool = False,
        claim: Claim | None = None,
    ) -> Admission:
        """The facts in their envelopes. The first one is the submission; the others follow from it."""
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
            claim=claim,
        )
