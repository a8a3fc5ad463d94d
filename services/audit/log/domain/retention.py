"""Retention of the log's content. Openings are erased; leaves and proofs stay permanently."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.facts import CATALOGUE, ContentErased

_ENDED: Final = frozenset(
    {"kopuro.referral.completed.v1", "kopuro.referral.withdrawn.v1", "kopuro.referral.failed.v1"}
)
_REVOKED: Final = frozenset({"kopuro.referral.withdrawn.v1", "kopuro.case.erased.v1"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Closing:
    """The end of a referral. revoked: the person withdrew the consent."""

    referral_id: str
    time: dt.datetime
    revoked: bool


def closing_of(
    type: str, referral_id: str | None, time: dt.datetime, data: Mapping[str, Any]
) -> Closing | None:
    """Return the closing that an event causes, or None.

    Only decisions close a referral. A mere submission does not, so that nobody can erase a history on
    request.
    """
    if referral_id is None:
        return None
    revoked = type in _REVOKED and data.get("reason") == "consent_revoked"
    if not revoked and type not in _ENDED:
        return None
    return Closing(referral_id=referral_id, time=time, revoked=revoked)


# The types of entries that close a referral, whatever their content said.
CLOSING_TYPES: Final = _ENDED | _REVOKED


# The types of entries that can permit an erasure.
PERMITTING_TYPES: Final = CLOSING_TYPES | {ContentErased.type}


def erasure_reason(
    type: str,
    referral_id: str,
    time: dt.datetime,
    data: Mapping[str, Any] | None,
    before: dt.datetime | None,
    *,
    earlier: bool = False,
) -> str | None:
    """Return why an entry permits the erasure of its referral's content: a reason of `content.erased`.

    data: None once erased. before: the end of the retention time for referrals that ended by then. earlier:
    the entry comes from a build that recorded no reasons.
    """
    if data is None:
        # The reason is unknown: the log must not record one that only the deletion suggests. The reason for
        # an earlier erasure is in that erasure's own entry, which is never erased.
        if earlier and type in _REVOKED:
            return "consent_revoked"
        return "retention" if type in _ENDED and before is not None and time < before else None
    if type == ContentErased.type:
        return str(data.get("reason"))
    closing = closing_of(type, referral_id, time, data)
    if closing is not None and closing.revoked:
        return "consent_revoked"
    return "retention" if type in _ENDED and before is not None and time < before else None


# Access facts are not about the person. Their content stays, so that it remains known who read what.
KEPT_TYPES: Final = frozenset(fact.type for fact in CATALOGUE.values() if fact.classification == "public")
