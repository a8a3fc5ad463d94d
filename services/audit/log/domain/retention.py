"""Which content of the log is kept how long. Leaves and proofs stay for ever; only what opens them goes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.facts import CATALOGUE

_ENDED: Final = frozenset(
    {"kopuro.referral.completed.v1", "kopuro.referral.withdrawn.v1", "kopuro.referral.failed.v1"}
)
_REVOKED: Final = frozenset({"kopuro.referral.withdrawn.v1", "kopuro.case.erased.v1"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Closing:
    """A referral has come to an end. revoked: because the person took the consent back."""

    referral_id: str
    time: dt.datetime
    revoked: bool


def closing_of(
    type: str, referral_id: str | None, time: dt.datetime, data: Mapping[str, Any]
) -> Closing | None:
    """What an event ends, if anything.

    By decisions, never by what somebody merely submitted: nobody erases a history by asking for it.
    """
    if referral_id is None:
        return None
    revoked = type in _REVOKED and data.get("reason") == "consent_revoked"
    if not revoked and type not in _ENDED:
        return None
    return Closing(referral_id=referral_id, time=time, revoked=revoked)


# Facts about who looked are not about the person: they stay told, so that it stays known who saw what.
KEPT_TYPES: Final = frozenset(fact.type for fact in CATALOGUE.values() if fact.classification == "public")
