"""Preconditions of changes (optimistic locking). Source: RFC 9110 §13.1, RFC 6585 §3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.errors import Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Precondition:
    """A condition on an entry's current state.

    revisions: the revisions that the entry may have; None: any, but it must exist. absent: it must not exist.
    """

    revisions: frozenset[int] | None = None
    absent: bool = False


# `If-Match: *`: overwrite any revision.
ANY_REVISION = Precondition()
# `If-None-Match: *`: create only.
ABSENT = Precondition(absent=True)


def at_revision(revision: int) -> Precondition:
    """Return the precondition that the entry has this revision."""
    return Precondition(revisions=frozenset({revision}))


def check_precondition(revision: int | None, precondition: Precondition | None) -> None:
    """Check a precondition. revision: the entry's current one, None if the entry does not exist.

    Raises Refused `precondition-required` if the entry exists and no precondition was given, and
    `precondition-failed` if the precondition does not hold.
    """
    if precondition is None:
        if revision is not None:
            raise Refused(
                "precondition-required",
                "The record exists. Read it, then send its ETag in `If-Match`.",
            )
        return
    if precondition.absent:
        if revision is not None:
            raise Refused("precondition-failed", f"The record exists at revision {revision}.")
    elif revision is None:
        raise Refused("precondition-failed", "The record does not exist.")
    elif precondition.revisions is not None and revision not in precondition.revisions:
        raise Refused("precondition-failed", f"The record has revision {revision} now. Read it again.")


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target after a JSON merge patch: objects merge, null removes, other values replace.

    Source: RFC 7396 §2. The arguments are not modified.
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
