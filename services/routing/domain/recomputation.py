"""Stored decisions, computed again from what they record: elsewhere, later, or under another policy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts.organization import Agreement, Organization
from contracts.referral import ReferralFacts
from services.routing.domain.chain import Chain
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory
from services.routing.domain.history_rules import NOT_DECLINED_FOR_PERSON
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.observed_record import observation_of, withdrawn_counts_of
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.rules import RULES

# The rules of builds that did not record which organisations had declined for the person. Such a decision is
# made again without that rule: every other rule is the same.
_EARLIER_RULES = [name for name in RULES if name != NOT_DECLINED_FOR_PERSON]

# The most differences of one decision that are named.
MOST_DIFFERENCES = 10


class NotReproducible(ValueError):
    """The stored decision lacks what is needed to make it again. The message says what; code: its kind."""

    code = "damaged"


class OfAnotherBuild(NotReproducible):
    """Another build made the decision, without recording its inputs or by other rules."""

    code = "another_build"


class Erased(NotReproducible):
    """Routing erased the decision's content after its referral had ended; only its commitment is left."""

    code = "erased"


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryChange:
    """One change of the directory as routing read it. change: its number; digest: None if unknown."""

    change: int
    type: str
    key: str
    revision: int
    digest: str | None


class DirectoryStates:
    """The directory as of each change, made by applying the changes one after the other."""

    def __init__(
        self,
        changes: Sequence[DirectoryChange],
        entry_of: Callable[[DirectoryChange], Organization | Agreement | None],
    ) -> None:
        """changes: by number. entry_of: returns the entry of that revision; None leaves the change out."""
        self._changes = changes
        self._entry_of = entry_of
        self._next = 0
        self._directory = Directory()

    def at(self, version: int) -> Directory:
        """Return the directory after the change `version`. Versions must not decrease between calls."""
        if version < self._directory.version:
            raise ValueError("versions must not decrease")
        while self._next < len(self._changes) and self._changes[self._next].change <= version:
            change = self._changes[self._next]
            self._next += 1
            match self._entry_of(change):
                case Organization() as organization:
                    self._directory.put_organization(organization, change.revision)
                case Agreement() as agreement:
                    self._directory.put_agreement(agreement)
        self._directory.version = version
        return self._directory


def completed(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a stored decision with the members that this build records, as an earlier build meant it."""
    inputs = stored.get("inputs")
    if not inputs or not isinstance(inputs, Mapping):
        return stored
    if stored.get("rules") == _EARLIER_RULES:
        inputs = {**inputs, "declined_for_person": {}}
        stored = {**stored, "rules": list(RULES), "inputs": inputs}
    if "approvals_serve_person" not in inputs:
        inputs = {**inputs, "approvals_serve_person": False}
        stored = {**stored, "inputs": inputs}
    if "withdrawn" not in inputs:
        # Withdrawn offers did not count.
        inputs = {**inputs, "withdrawn": {}}
        stored = {**stored, "inputs": inputs}
    if "unknown_may_be_equal" not in inputs:
        stored = {**stored, "inputs": {**inputs, "unknown_may_be_equal": False}}
        if isinstance(turn := stored.get("turn"), Mapping):
            stored = {**stored, "turn": _without_benefit(turn)}
    return stored


def _without_benefit(turn: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the turn of an earlier build, in which no organisation counted as unknown."""
    organizations = turn.get("organizations")
    if isinstance(organizations, Mapping) and all(isinstance(one, Mapping) for one in organizations.values()):
        organizations = {name: {**one, "unknown": False} for name, one in organizations.items()}
    return {**turn, "benefit": 0.0, "organizations": organizations}


def made_again(
    stored: Mapping[str, Any],
    *,
    sender: str,
    facts: ReferralFacts,
    policy: RoutingPolicy,
    directory: Directory,
    only_considered: bool = False,
) -> Decision:
    """Make a stored decision again. stored: its record as JSON values; directory: as of its version.

    only_considered: of another directory, consider only organisations that the decision considered. Raises
    OfAnotherBuild, and NotReproducible for a damaged record.
    """
    stored = completed(stored)
    if "inputs" not in stored or (stored["inputs"] and "whole_needs" not in stored["inputs"]):
        raise OfAnotherBuild("an earlier build recorded it without all of its inputs")
    if stored.get("rules") != list(RULES):
        raise OfAnotherBuild("another build decided it with other rules")
    try:
        inputs = stored["inputs"]
        observed = _observed(inputs, sender)
        given = Circumstances(
            referral_id=stored["referral_id"],
            sender=sender,
            facts=facts,
            asked=frozenset(inputs["asked"]),
            directory=directory,
            observed=lambda organization: observed.get(organization, NOTHING_OBSERVED),
            now=dt.datetime.fromisoformat(stored["decided_at"]),
            offers_per_sender=policy.offers_per_sender,
            declined_as_full={
                organization: dt.datetime.fromisoformat(at)
                for organization, at in inputs["declined_as_full"].items()
            },
            declined_for_person=inputs["declined_for_person"],
            chain=_chain(inputs["chain"]),
            full_for=policy.counts_as_full(facts.urgency),
            whole_needs=tuple(inputs["whole_needs"]),
            approvals_serve_person=inputs["approvals_serve_person"],
            unknown_may_be_equal=inputs["unknown_may_be_equal"],
        )
        trigger = Trigger(stored["trigger"])
        considered = {one["organization"] for one in stored["candidates"]} if only_considered else None
        return decide(
            stored["id"],
            given,
            policy,
            trigger,
            placed_with=inputs["placed_with"],
            considered=considered,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NotReproducible(f"its record is damaged ({type(error).__name__})") from None


def _observed(inputs: Mapping[str, Any], sender: str) -> dict[str, Observation]:
    observed = {name: observation_of(record) for name, record in inputs["observed"].items()}
    for name, record in inputs["withdrawn"].items():
        seen = observed.get(name, NOTHING_OBSERVED)
        observed[name] = replace(seen, withdrawn={sender: withdrawn_counts_of(record)})
    return observed


def _chain(stored: Mapping[str, Any] | None) -> Chain | None:
    return None if stored is None else Chain(**{**stored, "holders": tuple(stored["holders"])})


def differences(stored: Any, again: Any, pointer: str = "") -> Iterator[str]:
    """Yield the JSON pointers at which two documents differ."""
    if isinstance(stored, dict) and isinstance(again, dict):
        for name in sorted(stored.keys() | again.keys()):
            if name not in stored or name not in again:
                yield f"{pointer}/{name}"
            else:
                yield from differences(stored[name], again[name], f"{pointer}/{name}")
    elif isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for index, (one, other) in enumerate(zip(stored, again, strict=True)):
            yield from differences(one, other, f"{pointer}/{index}")
    elif stored != again:
        yield pointer
