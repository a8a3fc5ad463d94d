"""Which state of an entry a caller saw before changing it. Source: RFC 9110 §13.1, RFC 6585 §3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.errors import Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Precondition:
    """What must hold of the entry for a change to be made.

    revisions: the revisions it may stand at; None: any, but it must exist. absent: it must not exist.
    """

    revisions: frozenset[int] | None = None
    absent: bool = False


# `If-Match: *`: overwrite whatever is there.
ANY_REVISION = Precondition()
# `If-None-Match: *`: create, and overwrite nothing.
ABSENT = Precondition(absent=True)


def at_revision(revision: int) -> Precondition:
    """The entry must stand at this revision."""
    return Precondition(revisions=frozenset({revision}))


def check_precondition(revision: int | None, precondition: Precondition | None) -> None:
    """revision: at which the entry stands, None where there is none. precondition: None where none was given.

    Raises Refused `precondition-required` when an entry exists and no precondition was given, and
    `precondition-failed` when the one that was given does not hold.
    """
    if precondition is None:
        if revision is not None:
            raise Refused(
                "precondition-required",
                "The record exists: read it, and send its ETag in `If-Match`.",
            )
        return
    if precondition.absent:
        if revision is not None:
            raise Refused("precondition-failed", f"The record exists, at revision {revision}.")
    elif revision is None:
        raise Refused("precondition-failed", "There is no such record.")
    elif precondition.revisions is not None and revision not in precondition.revisions:
        raise Refused("precondition-failed", f"The record stands at revision {revision}: read it again.")


def merge_patch(target: Any, patch: Any) -> Any:
    """The target after a JSON merge patch: objects are merged, null removes, all else replaces.

    Source: RFC 7396 §2. Neither argument is changed.
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
