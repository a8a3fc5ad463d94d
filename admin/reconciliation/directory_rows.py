"""Differences between the log and the directory's approvals, sealing keys and order of clients."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from admin.reconciliation.differences import Difference
from admin.reconciliation.stored_values import NO_NUMBER
from contracts.codes import KeyManner

# The last step that the log has of a request in each state. A request expires by itself.
_LAST_STEP: Final = {"granted": "granted", "refused": "refused", "expired": "refused", "stale": "refused"}
_DECISIONS: Final = frozenset(_LAST_STEP.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredApproval:
    """A request for approval in the directory's database. request: its kind, subject, requester and partner.

    digest: as stored; change_digest: of the stored change on its basis; None for an unknown kind.
    may_be_erased: the change is blank, as the directory leaves that of an application's request. concerned,
    change_concerns: the principal that the row names, and the one that the change is about.
    """

    id: str
    request: tuple[str, str, str, str | None]
    digest: str
    change_digest: str | None
    concerned: str
    change_concerns: str | None
    requested_at: dt.datetime
    expires_at: dt.datetime
    state: str
    may_be_erased: bool
    decided_by: str | None
    decided_at: dt.datetime | None
    endorsed_by: str | None
    endorsed_at: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedDecisionStep:
    """An entry about a request for approval. step: requested, endorsed, granted or refused.

    request: as in StoredApproval. digest: of what was requested; a refusal has none. by: who decided.
    expires_at: of a request; None in the other steps.
    """

    index: int
    time: dt.datetime
    id: str
    step: str
    request: tuple[str, str, str, str | None]
    digest: str | None
    by: str | None
    expires_at: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """A sealing key that an organisation has or had, in the directory's database.

    number, changed_at, changed_by: the revision of the organisation's record that published it, its time and
    its author. since: from when it is used, which may be earlier. how: the manner in which it replaced the
    one before, who asked for it and who approved it. kid: None for a damaged key.
    """

    organization: str
    kid: str | None
    number: int
    changed_at: dt.datetime
    changed_by: str
    since: dt.datetime
    how: tuple[str, str, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedKey:
    """A sealing key in the log. how: as in StoredKey; None in an entry that does not say it.

    number: the revision of the organisation's record, in an entry with that record; None in others. since: as
    in StoredKey; None until it is computed from the entries before.
    """

    organization: str
    kid: str
    index: int
    time: dt.datetime
    how: tuple[str, str, str | None] | None = None
    number: int | None = None
    since: dt.datetime | None = None


_TIMES: Final[Mapping[str, Callable[[StoredApproval], dt.datetime | None]]] = {
    "requested": lambda one: one.requested_at,
    "endorsed": lambda one: one.endorsed_at,
    "decided": lambda one: one.decided_at,
}


def approval_differences(
    stored: Sequence[StoredApproval],
    logged: Iterable[LoggedDecisionStep],
    settled: dt.datetime,
    applied: Collection[str] = (),
) -> Iterator[Difference]:
    """Yield requests that one side lacks, or that the log has with other persons, content or result.

    settled: later steps are not compared. applied: the requests to vet applications, whose changes may be
    erased.
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
        if max([step.time for step in told] or [one.requested_at]) > settled:
            continue
        if not told:
            yield _of_approval(one.id, "has no entry in the log")
        elif any(step.request != one.request or step.digest not in (None, one.digest) for step in told):
            yield _of_approval(one.id, "differs from the one in the log", told[0].index)
        elif one.change_digest not in (None, one.digest) and not (one.may_be_erased and one.id in applied):
            yield _of_approval(one.id, "does not match its digest: the change was rewritten", told[0].index)
        elif one.change_concerns not in (None, one.concerned):
            about = f"concerns {one.concerned}, but its change concerns {one.change_concerns}"
            yield _of_approval(one.id, about, told[0].index)
        elif (what := _other_result(one, told) or _other_times(one, told)) is not None:
            yield _of_approval(one.id, what, told[-1].index)


def _other_result(one: StoredApproval, told: Sequence[LoggedDecisionStep]) -> str | None:
    decision = next((step for step in told if step.step in _DECISIONS), None)
    endorsement = next((step.by for step in _effective(told) if step.step == "endorsed"), None)
    if one.endorsed_by != endorsement:
        return f"was endorsed by {one.endorsed_by or 'nobody'}, in the log by {endorsement or 'nobody'}"
    step = _LAST_STEP.get(one.state)
    if step != (None if decision is None else decision.step):
        return f"is {one.state}, but the log says {'requested' if decision is None else decision.step}"
    if decision is not None and one.decided_by != decision.by:
        return f"was decided by {one.decided_by}, in the log by {decision.by}"
    return None


def _other_times(one: StoredApproval, told: Sequence[LoggedDecisionStep]) -> str | None:
    for step in _effective(told):
        name = "decided" if step.step in _DECISIONS else step.step
        pairs = [(f"was {name}", _TIMES[name](one), step.time)]
        if step.expires_at is not None:
            pairs.append(("expires", one.expires_at, step.expires_at))
        for what, stored, logged in pairs:
            if stored != logged:
                said = "at no time" if stored is None else f"at {stored.isoformat()}"
                return f"{what} {said}, in the log at {logged.isoformat()}"
    return None


def _effective(told: Sequence[LoggedDecisionStep]) -> list[LoggedDecisionStep]:
    """Return the steps without the endorsements that a later one replaced.

    The endorsement of somebody whose client was revoked does not count, and another takes its place.
    """
    last = max((step.index for step in told if step.step == "endorsed"), default=None)
    return [step for step in told if step.step != "endorsed" or step.index == last]


def key_differences(
    stored: Sequence[StoredKey],
    logged: Iterable[LoggedKey],
    settled: dt.datetime,
    decided: Iterable[LoggedDecisionStep] = (),
    notices_since: int | None = None,
) -> Iterator[Difference]:
    """Yield sealing keys that only one side has, or for which the two sides name other persons or times.

    The sides are the log and the history of keys.

    An organisation may return to a key, so each key has as many rows as entries. Two kinds of keys have a row
    without an entry of their own:

    - The first key of a loaded record: the organisation's first row, of the revision that first has the key
      in the log.
    - A key of a build without such entries, of which the migration made the row: of the revision with which
      the record got the key in the log, before `notices_since`.

    decided: the steps of requests for approval. notices_since: the index of the first entry of a build that
    publishes them; None if the log has none.
    """
    told: dict[tuple[str, str], list[LoggedKey]] = defaultdict(list)
    rows: dict[tuple[str, str], list[StoredKey]] = defaultdict(list)
    known: dict[tuple[str, str], LoggedKey] = {}
    published: dict[tuple[str, str], LoggedKey] = {}
    revisions: dict[str, dict[int, LoggedKey]] = defaultdict(dict)
    lowest: dict[str, int] = {}
    approved = {
        (step.request[1], step.request[2], step.time): step.by for step in decided if step.step == "granted"
    }
    for one in stored:
        lowest[one.organization] = min(one.number, lowest.get(one.organization, one.number))
        if one.kid is None:
            what = f"the key of revision {one.number} in the history of sealing keys is damaged"
            yield _of_key(one.organization, what)
        elif one.changed_at <= settled:
            rows[one.organization, one.kid].append(one)
    for key in _with_times_of_use(logged):
        if key.time <= settled:
            known.setdefault((key.organization, key.kid), key)
            if key.how is not None:
                told[key.organization, key.kid].append(key)
            else:
                published.setdefault((key.organization, key.kid), key)
                revisions[key.organization].setdefault(key.number or 0, key)
    changes = {name: _changes(of_one) for name, of_one in revisions.items()}
    yield from _missing_rows(changes, rows)
    for (organization, kid), entry in known.items():
        if (organization, kid) not in rows:
            what = f"the key {kid} is missing from the history of sealing keys"
            yield _of_key(organization, what, entry.index)
    for (organization, kid), kept in rows.items():
        if (organization, kid) not in known:
            yield _of_key(organization, f"the log has no sealing key {kid}")
            continue
        replaced = told[organization, kid]
        kept.sort(key=lambda one: one.number)
        if len(kept) < len(replaced):
            what = f"the log has the key {kid} {len(replaced)} times, but the history only {len(kept)} times"
            yield _of_key(organization, what, replaced[-1].index)
        surplus = kept[: max(0, len(kept) - len(replaced))]
        loaded = published.get((organization, kid))
        for one in surplus:
            approver = approved.get((organization, one.how[1], one.since))
            is_loaded = one.number == lowest[organization] and _is_of_loaded_record(one, loaded, approver)
            if not is_loaded and not _is_migrated(one, changes.get(organization, {}), notices_since):
                what = f"the log has no entry for the key {kid} of revision {one.number}"
                yield _of_key(organization, f"{what} in the history of sealing keys")
        for one, key in zip(kept[len(surplus) :][::-1], replaced[::-1], strict=False):
            if (key.how, key.since) != (one.how, one.since):
                what = f"the replacement of the sealing key {kid} has another time, manner or persons"
                yield _of_key(organization, f"{what} in the log", key.index)


def _is_of_loaded_record(one: StoredKey, logged: LoggedKey | None, approver: str | None) -> bool:
    """Return whether the row has the key of a new record, as a file or an operator brings it.

    logged: the first revision with that key. approver: who granted the request for the record in the log.
    """
    return (
        logged is not None
        and one.how == (KeyManner.first, one.changed_by, approver)
        and one.number == logged.number
        and one.changed_at == one.since == logged.time
    )


def _is_migrated(one: StoredKey, changes: Mapping[int, LoggedKey], notices_since: int | None) -> bool:
    """Return whether the migration made the row. changes: of the organisation's key in the log.

    The migration did not know how keys were replaced: it called each one but the first approved, by the
    author of the revision.
    """
    entry = changes.get(one.number)
    if entry is None or (notices_since is not None and entry.index >= notices_since):
        return False
    manner = KeyManner.first if one.number == min(changes) else KeyManner.approved
    return (
        (entry.kid, entry.time) == (one.kid, one.since)
        and one.changed_at == one.since
        and one.how == (manner, one.changed_by, None)
    )


def _changes(revisions: Mapping[int, LoggedKey]) -> dict[int, LoggedKey]:
    """Return the revisions of an organisation's record with which it got another key, in their order."""
    found: dict[int, LoggedKey] = {}
    kid = None
    for number in sorted(revisions):
        if revisions[number].kid != kid:
            found[number] = revisions[number]
        kid = revisions[number].kid
    return found


def _missing_rows(
    changes: Mapping[str, Mapping[int, LoggedKey]], rows: Mapping[tuple[str, str], Sequence[StoredKey]]
) -> Iterator[Difference]:
    """Yield the changes of keys without a row of their revision, of keys that have other rows."""
    for organization, of_one in changes.items():
        for number, entry in of_one.items():
            kept = rows.get((organization, entry.kid), ())
            if kept and number not in {one.number for one in kept}:
                what = f"the key {entry.kid} of revision {number} is missing from the history of sealing keys"
                yield _of_key(organization, what, entry.index)


def _with_times_of_use(logged: Iterable[LoggedKey]) -> Iterator[LoggedKey]:
    """Yield the keys, in the order of the log, with the time from which the history says that each is used.

    A proof by a key that was approved lately counts as that approval, and keeps its time
    (`services.directory.domain.sealing_key_history.with_key`). Only such a replacement is approved without
    an approver, in the name of the organisation.
    """
    since: dict[str, dt.datetime] = {}
    for key in logged:
        if key.how is not None:
            counts_as_approved = key.how == (KeyManner.approved, key.organization, None)
            if not counts_as_approved or key.organization not in since:
                since[key.organization] = key.time
            key = replace(key, since=since[key.organization])
        yield key


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredClient:
    """A client in the directory's database. place: in the order of its principal's clients."""

    id: str
    principal: str
    place: int


def order_differences(
    stored: Sequence[RegisteredClient],
    registered: Mapping[str, tuple[dt.datetime, int]],
    settled: dt.datetime,
) -> Iterator[Difference]:
    """Yield clients whose place among their principal's is not that of their first entries in the log.

    registered: the time and the index of each client's first revision in the log.
    """
    by_principal: dict[str, list[RegisteredClient]] = defaultdict(list)
    for one in stored:
        if one.place == NO_NUMBER:
            what = "its place in the order of clients is damaged"
            yield Difference(referral_id=None, record=f"client {one.id}", where="directory", what=what)
        elif one.id in registered and registered[one.id][0] <= settled:
            by_principal[one.principal].append(one)
    for clients in by_principal.values():
        # A clock may be set back: the time only shows what one transaction registered.
        clients.sort(key=lambda one: registered[one.id][1])
        for before, after in pairwise(clients):
            told = [registered[one.id][0] for one in (before, after)]
            # One transaction registers clients with one time and one place.
            agrees = before.place == after.place if told[0] == told[1] else before.place < after.place
            if not agrees:
                what = f"its place in the order of clients, after {before.id}, is not the one in the log"
                yield Difference(
                    referral_id=None,
                    record=f"client {after.id}",
                    where="directory",
                    what=what,
                    index=registered[after.id][1],
                )


def proof_key_differences(
    stored: Sequence[tuple[str, str]], secrets: Mapping[str, Collection[str]]
) -> Iterator[Difference]:
    """Yield keys of proofs whose secret no revision of their client has had.

    stored: clients and digests of secrets. secrets: the digests in all revisions of each client.
    """
    for client, digest in stored:
        if digest not in secrets.get(client, ()):
            yield Difference(
                referral_id=None,
                record=f"client {client}",
                where="directory",
                what="the directory has a key of proofs for a secret that the client never had",
            )


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
