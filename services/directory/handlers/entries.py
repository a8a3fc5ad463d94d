"""Commands that change records of organisations, agreements and token keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Generic

from contracts.codes import KeyManner
from contracts.errors import PointerError, Refused
from contracts.organization import Agreement, Organization
from contracts.records import plain
from services.directory.domain.agreement_change import narrows
from services.directory.domain.amendment import (
    KEPT_BY_DIRECTORY,
    Editor,
    needs_second_person,
    permit_amendment,
    refuse_left_out,
    with_kept_members,
)
from services.directory.domain.approval import Approval
from services.directory.domain.change import AgreementChange, RecordChange
from services.directory.domain.client import Client
from services.directory.domain.entry import E, E_co, Standing, Subject, TokenKey
from services.directory.domain.precondition import Precondition, check_precondition, merge_patch
from services.directory.domain.record_size import check_pairs, check_size
from services.directory.domain.sealing_key_history import with_key
from services.directory.domain.service_approval import with_approvals_that_hold
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.earlier_clients import has_power_over
from services.directory.handlers.effects import take_effect
from services.directory.handlers.ledger import Ledger, Writing

# Entries per transaction, so that loading thousands does not block a running service's writes.
_BATCH: Final = 500
# All members of the records; naming them all leaves nothing out.
MEMBERS: Final = frozenset(field.name for kind in (Organization, Agreement) for field in fields(kind))


@dataclass(frozen=True, kw_only=True, slots=True)
class Written(Generic[E_co]):
    """An entry after a write. created: whether it is new."""

    standing: Standing[E_co]
    created: bool


class Entries:
    """Changes of records. Keys and clients have handlers of their own."""

    def __init__(self, ledger: Ledger, approvals: Approvals, rates: ChangeRates) -> None:
        self._ledger = ledger
        self._approvals = approvals
        self._rates = rates

    def put_organization(
        self,
        editor: Editor,
        wanted: Organization,
        *,
        precondition: Precondition | None = None,
        named: Collection[str] = MEMBERS,
    ) -> Written[Organization] | Approval:
        """Create or replace an organisation's record. named: the members that the request contains.

        Returns the request if a second person must approve the change. Raises Refused: `forbidden` and
        `invalid-submission` with pointers (see `refuse_left_out`, `check_size`, `check_pairs`),
        `precondition-required`, `precondition-failed`, `unknown-organization`. Raises RateLimited for an
        organisation that has changed its record too often.
        """

        def decide(present: Standing[Organization] | None) -> Organization:
            permit_amendment(editor, present, wanted)
            kept = with_kept_members(present, wanted, named)
            return _replaced(present, kept, precondition, {*named, *KEPT_BY_DIRECTORY})

        return self._write_organization(wanted.id, decide, editor)

    def patch_organization(
        self,
        editor: Editor,
        organization: str,
        patch: Mapping[str, Any],
        *,
        precondition: Precondition | None = None,
        admit: Callable[[object], Organization],
    ) -> Written[Organization] | Approval:
        """Change part of a record by a JSON merge patch (RFC 7396). admit: parses JSON to a record.

        Returns and raises what `put_organization` does, and raises Refused `not-found` and what `admit`
        raises.
        """

        def decide(present: Standing[Organization] | None) -> Organization:
            if not editor.operator and editor.id != organization:
                raise Refused("forbidden", "An organisation may change only its own record.")
            if present is None:
                raise Refused("not-found", "The directory has no organisation with this id.")
            wanted = admit(merge_patch(plain(present.entry), patch))
            if wanted.id != organization:
                where = PointerError(pointer="/id", detail="Cannot be changed.")
                raise Refused("invalid-submission", "The id of a record is permanent.", errors=[where])
            permit_amendment(editor, present, wanted)
            kept = with_kept_members(present, wanted, MEMBERS)
            return _replaced(present, kept, precondition, MEMBERS)

        return self._write_organization(organization, decide, editor)

    def put_agreement(
        self,
        editor: Editor,
        wanted: Agreement,
        *,
        precondition: Precondition | None = None,
        named: Collection[str] = MEMBERS,
    ) -> Written[Agreement] | Approval:
        """Create or replace an agreement. Returns and raises what `put_organization` does."""
        with self._ledger.writing() as writing:
            present = writing.standing(Agreement, wanted.id)
            entry = _replaced(present, wanted, precondition, named)
            before = None if present is None else present.entry
            if entry != before and self._approvals.two_persons and not narrows(before, entry):
                return self._approvals.request(writing, AgreementChange(agreement=entry), by=editor.id)
            return Written(standing=writing.put(entry, by=editor.id), created=present is None)

    def announce(self, keys: Sequence[TokenKey], *, by: str) -> Collection[str]:
        """Publish the keys of tokens, and withdraw every other key. Returns the ids of those that are new.

        A rotation keeps the earlier key among them until its tokens have expired. A stolen key is left out,
        and clients renew the tokens that are refused with it.
        """
        register = self._ledger.register
        with self._ledger.writing() as writing:
            ids = [known.entry.id for known in register.every(writing.transaction, Subject.token_key)]
            wanted = {key.id for key in keys}
            standing = register.standing(writing.transaction, TokenKey, [*ids, *wanted])
            others = [replace(s.entry, withdrawn=True) for i, s in standing.items() if i not in wanted]
            changed = writing.put_all(standing, [*keys, *others], by=by)
            return {revision.entry.id for revision in changed} & wanted

    def enter(self, kind: type[E], wanted: Sequence[E], *, by: str) -> int:
        """Create or replace entries, in batches of one transaction each; return how many changed.

        For an operator's files, so no permission is checked. Idempotent: repeat it after a crash between two
        transactions. A record without a sealing key keeps the published one, because files are written before
        partners publish their keys; a different key counts as approved, not as proved.
        """
        changed = 0
        for batch in _batches(wanted):
            with self._ledger.writing() as writing:
                ids = [entry.id for entry in batch]
                standing = self._ledger.register.standing(writing.transaction, kind, ids)
                kept = [_as_loaded(writing, entry, standing.get(entry.id)) for entry in batch]
                changed += len(writing.put_all(standing, kept, by=by))
        return changed

    def _write_organization(
        self,
        organization: str,
        decide: Callable[[Standing[Organization] | None], Organization],
        editor: Editor,
    ) -> Written[Organization] | Approval:
        with self._ledger.writing() as writing:
            present = writing.standing(Organization, organization)
            before = None if present is None else present.entry
            wanted = with_approvals_that_hold(before, decide(present))
            if wanted != before:
                check_size(before, wanted)
                check_pairs(before, wanted)
                if not editor.operator and not _leaves(before, wanted):
                    self._rates.require_record(editor.id, wanted)
            if not editor.operator and _leaves(before, wanted):
                self._require_root(writing, organization, editor.client_id)
            change = RecordChange(organization=wanted)
            vouches = needs_second_person(before, wanted, by_operator=editor.operator)
            if wanted != before and self._approvals.two_persons and vouches:
                requested = self._approvals.request(writing, change, by=editor.id)
                self._count(editor, before, wanted)
                return requested
            take_effect(writing, change, by=editor.id)
            self._count(editor, before, wanted)
            written = writing.standing(Organization, organization)
            assert written is not None
            return Written(standing=written, created=present is None)

    def _count(self, editor: Editor, before: Organization | None, wanted: Organization) -> None:
        if wanted != before and not editor.operator:
            self._rates.count_record(editor.id, wanted)

    def _require_root(self, writing: Writing, organization: str, client: str) -> None:
        """Check that a client comes before every other live one of its organisation, or is the only one.

        An organisation that is no longer active is excluded with all of its clients, and cannot undo that
        itself. Raises Refused `forbidden`.
        """
        for other in self._ledger.register.clients_of(writing.transaction, [organization]):
            if other.live and not has_power_over(writing, client, other.id):
                raise Refused(
                    "forbidden",
                    "Only the first client of your organisation can set it to inactive. The client that you "
                    f"use does not come before {other.id}. Use the first client, or call the hub's "
                    "operators.",
                )


def _replaced(
    present: Standing[E] | None, wanted: E, precondition: Precondition | None, named: Collection[str]
) -> E:
    if present is not None:
        if present.entry == wanted and precondition is not None and not precondition.absent:
            # A repetition after a lost response: RFC 9110 §13.1.1 lets it succeed. Nothing is overwritten.
            return wanted
        check_precondition(present.revision, precondition)
        refuse_left_out(present.entry, wanted, named)
    else:
        check_precondition(None, precondition)
    return wanted


def _as_loaded(writing: Writing, wanted: E, present: Standing[E] | None) -> E:
    if isinstance(wanted, Client) and present is not None:
        # Loading again neither revives a revoked client nor brings back a secret that was replaced.
        known = present.entry
        assert isinstance(known, Client)
        return replace(known, principal=wanted.principal, roles=wanted.roles)
    if not isinstance(wanted, Organization):
        return wanted
    before = present.entry if present is not None else replace(wanted, sealing_key=None)
    assert isinstance(before, Organization)
    key = wanted.sealing_key
    kept = replace(
        wanted,
        sealing_key=before.sealing_key,
        sealing_key_change=before.sealing_key_change,
        approved_services=wanted.approved_services or before.approved_services,
    )
    if not wanted.approved_services:
        kept = with_approvals_that_hold(before, kept)
    if key is None or key == before.sealing_key:
        return kept
    return replace(
        kept,
        sealing_key=key,
        sealing_key_change=with_key(
            before, key, manner=KeyManner.approved, at=writing.now
        ).sealing_key_change,
    )


def _leaves(before: Organization | None, wanted: Organization) -> bool:
    """Return whether the organisation excludes itself. This is never too often: it happens once."""
    return before is not None and wanted.is_excluded > before.is_excluded


def _batches(entries: Sequence[E]) -> Iterator[Sequence[E]]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]
