"""Differences between a referral's timeline in routing and the log.

Each step of a timeline is a fact that the log has, with its time. So a step without an entry was added or
altered, and an entry without a step means that one was deleted. Two kinds of facts may leave no step:

- A submission that routing refused. The refusal is a step in its place.
- A replaced case that concerns no acceptor, and a refused case after the end of the referral.

An entry whose content is erased is compared by its fact, time and organisation.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from admin.reconciliation.referral_records import LoggedFact, StoredStep
from contracts.topology import OWNERS, ROUTING_KEYS
from services.routing.domain.reduced_facts import DROPPED_DETAILS

_OWN: Final = frozenset(key for key, owners in OWNERS.items() if owners == {"routing"})
_MAY_CHANGE_NOTHING: Final = frozenset({"replacement.submitted", "case.refused"})
_REFUSED: Final = "submission.refused"
# Keyed by the refusal of each submission: `<kind>.refused`, or `submission.refused` for those without one.
_REFUSED_BY: Final = {
    key: refusal if (refusal := f"{key.removesuffix('.submitted')}.refused") in OWNERS else _REFUSED
    for key in ROUTING_KEYS
    if key.endswith(".submitted")
}
_REFUSALS: Final = frozenset(_REFUSED_BY.values())
# The end of routing's source. The vault refuses submissions too, but those are not steps.
_ROUTING: Final = "/routing"

_Key = tuple[str, dt.datetime, str]


@dataclass(slots=True)
class _Group:
    """The steps and entries of one fact, time and organisation."""

    steps: list[StoredStep] = field(default_factory=list)
    entries: list[LoggedFact] = field(default_factory=list)


def timeline_differences(
    steps: Sequence[StoredStep],
    entries: Sequence[LoggedFact],
    *,
    sender: str,
    is_reduced: bool,
    of_linked: Sequence[LoggedFact] = (),
) -> Iterator[tuple[str, int | None]]:
    """Yield what differs, each with the index of the entry concerned, if any.

    sender: stands for the organisation of a fact that concerns the sender alone. is_reduced: routing has
    reduced the referral's facts, and with them the steps. of_linked: replaced cases of the other referrals
    of a split; they may be steps of this one too.
    """
    groups: dict[_Key, _Group] = defaultdict(_Group)
    for step in steps:
        groups[step.fact, step.time, step.organization or sender].steps.append(step)
    for entry in entries:
        groups[entry.fact, entry.time, entry.organization or sender].entries.append(entry)
    refused = _Refusals(entries)
    shared = {(entry.fact, entry.time, entry.organization or sender) for entry in of_linked}
    for key in sorted(groups):
        fact, time, organization = key
        left, missing = _unmatched(groups[key], is_reduced=is_reduced)
        for entry in missing[: len(left)]:
            yield f"the step {fact} of {organization} says something else than the log", entry.index
        if key not in shared:
            for _ in left[len(missing) :]:
                moment = time.isoformat(timespec="seconds")
                yield f"the timeline has {fact} of {organization} at {moment}, but the log does not", None
        for entry in missing[len(left) :]:
            if _is_step(entry) and not refused.covers(entry):
                yield f"the log has {fact} of {organization}, but the timeline does not", entry.index


class _Refusals:
    """The refusals of submissions. Those whose content is erased count by their fact and organisation."""

    def __init__(self, entries: Sequence[LoggedFact]) -> None:
        refusals = [entry for entry in entries if entry.fact in _REFUSALS]
        self._known = {entry.data.get("submission_id") for entry in refusals if entry.data is not None}
        self._erased = Counter((entry.fact, entry.organization) for entry in refusals if entry.data is None)

    def covers(self, entry: LoggedFact) -> bool:
        """Return whether a submission without a step was refused."""
        if entry.fact not in _REFUSED_BY:
            return False
        if entry.message_id in self._known:
            return True
        refusal = _REFUSED_BY[entry.fact], entry.organization
        if self._erased[refusal] <= 0:
            return False
        self._erased[refusal] -= 1
        return True


def _is_step(entry: LoggedFact) -> bool:
    """Return whether an entry must have a step, unless it was refused."""
    if entry.fact == _REFUSED:
        return entry.actor.endswith(_ROUTING)
    return entry.fact in _OWN or (entry.fact in ROUTING_KEYS and entry.fact not in _MAY_CHANGE_NOTHING)


def _unmatched(group: _Group, *, is_reduced: bool) -> tuple[list[StoredStep], list[LoggedFact]]:
    """Return the steps that no entry says, and the entries that no step says."""
    left, missing = list(group.steps), []
    # An entry with content takes a step that says the same. One without content takes any step that is left.
    for entry in sorted(group.entries, key=lambda one: one.detail is None):
        found = next((step for step in left if _says(step, entry, is_reduced=is_reduced)), None)
        if found is None:
            missing.append(entry)
        else:
            left.remove(found)
    return left, missing


def _says(step: StoredStep, entry: LoggedFact, *, is_reduced: bool) -> bool:
    if step.detail is None:
        return False
    if entry.detail is None or entry.data is None:
        return True
    dropped = DROPPED_DETAILS if is_reduced else frozenset[str]()
    said = {name: value for name, value in step.detail.items() if name not in dropped}
    whole = {name: value for name, value in entry.detail.items() if name not in dropped}
    # A member that the fact does not have is its default, which an earlier build did not know.
    stated = {name: value for name, value in whole.items() if entry.data.get(name) is not None}
    return stated.items() <= said.items() <= whole.items()
