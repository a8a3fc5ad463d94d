"""Differences between the log and the directory's approvals and sealing keys."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from admin.reconciliation.differences import Difference

# The last step that the log has of a request in each state. A request expires by itself.
_LAST_STEP: Final = {"granted": "granted", "refused": "refused", "expired": "refused", "stale": "refused"}
_DECISIONS: Final = frozenset(_LAST_STEP.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredApproval:
    """A request for approval in the directory's database. request: its kind, subject and requester."""

    id: str
    request: tuple[str, str, str]
    digest: str
    requested_at: dt.datetime
    state: str
    decided_by: str | None
    endorsed_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedDecisionStep:
    """An entry about a request for approval. step: requested, endorsed, granted or refused.

    request: as in StoredApproval. digest: of what was requested; a refusal has none. by: who decided.
    """

    index: int
    time: dt.datetime
    id: str
    step: str
    request: tuple[str, str, str]
    digest: str | None
    by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """A sealing key that an organisation has or had, in the directory's database."""

    organization: str
    kid: str
    since: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedKey:
    """A sealing key in the log."""

    organization: str
    kid: str
    index: int
    time: dt.datetime


def approval_differences(
    stored: Sequence[StoredApproval], logged: Iterable[LoggedDecisionStep], settled: dt.datetime
) -> Iterator[Difference]:
    """Yield requests that one side lacks, or that the log has with other persons, content or result.

    settled: later steps are not compared.
    """
    steps: dict[str, list[LoggedDecisionStep]] = defaultdict(list)
    for step in logged:
        steps[step.id].append(step)
    known = {one.id for one in stored}
    for id, told in steps.items():
        if id not in known and told[0].time <= settled:
            yield _of_approval(id, "is missing", told[0].index)
    for one in stored:
        told = steps.get(one.id, [])
        if max([one.requested_at, *(step.time for step in told)]) > settled:
            continue
        if not told:
            yield _of_approval(one.id, "has no entry in the log")
        elif any(step.request != one.request or step.digest not in (None, one.digest) for step in told):
            yield _of_approval(one.id, "differs from the one in the log", told[0].index)
        elif (what := _other_result(one, told)) is not None:
            yield _of_approval(one.id, what, told[-1].index)


def _other_result(one: StoredApproval, told: Sequence[LoggedDecisionStep]) -> str | None:
    decision = next((step for step in told if step.step in _DECISIONS), None)
    endorsement = next((step.by for step in told if step.step == "endorsed"), None)
    if one.endorsed_by != endorsement:
        return f"was endorsed by {one.endorsed_by or 'nobody'}, in the log by {endorsement or 'nobody'}"
    step = _LAST_STEP.get(one.state)
    if step != (None if decision is None else decision.step):
        return f"is {one.state}, but the log says {'requested' if decision is None else decision.step}"
    if decision is not None and one.decided_by != decision.by:
        return f"was decided by {one.decided_by}, in the log by {decision.by}"
    return None


def key_differences(
    stored: Sequence[StoredKey], logged: Iterable[LoggedKey], settled: dt.datetime
) -> Iterator[Difference]:
    """Yield sealing keys that only the log or only the history of keys has."""
    kept = {(one.organization, one.kid) for one in stored}
    known = set()
    for key in logged:
        first = (key.organization, key.kid) not in known
        known.add((key.organization, key.kid))
        if first and (key.organization, key.kid) not in kept and key.time <= settled:
            what = f"the key {key.kid} is missing from the history of sealing keys"
            yield _of_key(key.organization, what, key.index)
    for one in stored:
        if (one.organization, one.kid) not in known and one.since <= settled:
            yield _of_key(one.organization, f"the log has no sealing key {one.kid}")


def _of_approval(id: str, what: str, index: int | None = None) -> Difference:
    return Difference(
        referral_id=None,
        record=f"approval {id}",
        where="directory",
        what=f"the request for approval {what}",
        index=index,
    )


def _of_key(organization: str, what: str, index: int | None = None) -> Difference:
    return Difference(
        referral_id=None, record=f"organization {organization}", where="directory", what=what, index=index
    )
