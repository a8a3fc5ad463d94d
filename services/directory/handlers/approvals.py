"""Requests for a second person's approval: made, decided and listed.

An approval applies exactly the requested change: it is stored, and every fact about it has its digest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from contracts.codes import ApprovalKind
from contracts.errors import Refused
from contracts.facts import ApprovalEndorsed, ApprovalGranted, ApprovalRefused, ApprovalRequested
from contracts.organization import Organization
from contracts.responses.directory import ApprovalRecord
from runtime.identifiers import new_id
from services.directory.domain.approval import (
    MOST_OPEN_ABOUT_SUBJECT,
    MOST_OPEN_BY_REQUESTER,
    REFUSALS,
    STALE,
    VALID_FOR,
    Approval,
    ApprovalStep,
    Decider,
    Policy,
    State,
    granted,
    refused,
)
from services.directory.domain.change import Change, digest, restored, shown_change, stored
from services.directory.domain.client import Client, was_issued_again
from services.directory.domain.entry import DirectoryEntry, Standing
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.earlier_clients import has_power_over
from services.directory.handlers.effects import basis_of, check, take_effect
from services.directory.handlers.ledger import Ledger, Writing
from services.directory.ports import ApprovalStore


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalReader:
    """A principal that reads approvals. organization: the partner, which sees its own; None for staff."""

    organization: str | None


class Approvals:
    """Turns changes into requests where a second person must approve them."""

    def __init__(
        self,
        ledger: Ledger,
        store: ApprovalStore,
        policy: Policy,
        rates: ChangeRates,
        settled: Callable[[Writing, Approval], None] = lambda _writing, _approval: None,
    ) -> None:
        """settled: called with each approval that was endorsed or decided, in the same transaction."""
        self._settled = settled
        self._ledger = ledger
        self._store = store
        self._policy = policy
        self._rates = rates
        ledger.followers.append(self._end_what_lost_standing)

    @property
    def two_persons(self) -> bool:
        """Return whether the policy demands a second person."""
        return self._policy is Policy.two_person

    def decide(self, writing: Writing, change: Change, *, by: str) -> Standing[DirectoryEntry] | Approval:
        """Write the change if one person decides; otherwise request its approval.

        Raises Refused as `effects.take_effect` does.
        """
        if self.two_persons:
            return self.request(writing, change, by=by)
        return take_effect(writing, change, by=by)

    def request(self, writing: Writing, change: Change, *, by: str, client: str | None = None) -> Approval:
        """Request an approval, even if the policy demands none. A repetition returns the open request.

        A requester has one open request about a subject: a new one makes the earlier one stale. Requests for
        sealing keys stay side by side, because a thief of the partner's secret could make the owner's stale.
        For the same reason the request of a later client is not a repetition of an earlier one's.

        client: of a partner that requests the change itself. Raises Refused as `effects.take_effect` does,
        `too-many-open-requests`, and `forbidden` for a client that was revoked: its token may be admitted for
        some seconds more, and a request would outlive it. Raises RateLimited for a client that requests
        too often.
        """
        known = None if client is None else writing.standing(Client, client)
        if known is not None and not known.entry.live:
            raise Refused("forbidden", "The client that you use was revoked.")
        check(writing, change)
        document, basis = stored(change), basis_of(writing, change)
        digested = digest(change.kind, document, basis)
        for earlier in self._store.open(writing.transaction, change.kind, change.subject):
            if earlier.requested_by != by:
                continue
            if (
                earlier.digest == digested
                and earlier.shown_at(writing.now) is State.requested
                and _may_stand_for(writing, earlier, client)
            ):
                return earlier
            if change.kind is not ApprovalKind.sealing_key:
                self._settle(writing, earlier.step(ApprovalStep.overtake, by=by, at=writing.now))
        self._make_room(writing, change, by, client)
        if client is not None:
            self._rates.take_request(client)
        approval = Approval(
            id=new_id(),
            kind=change.kind,
            subject=change.subject,
            concerned=change.concerned,
            organization=change.partner,
            change=document,
            digest=digested,
            basis=basis,
            requested_by=by,
            client=client,
            requested_at=writing.now,
            expires_at=writing.now + VALID_FOR,
        )
        self._store.add(writing.transaction, approval)
        fact = ApprovalRequested(
            id=approval.id,
            kind=approval.kind,
            subject=approval.subject,
            requested_by=by,
            expires_at=approval.expires_at,
            digest=approval.digest,
            organization=approval.organization,
        )
        writing.tell(fact, key=approval.subject)
        return approval

    def approve(self, approval_id: str, by: Decider) -> Approval:
        """Approve a request and return it. It takes effect, unless it needs a second member of the staff.

        Raises Refused: `not-found`, `forbidden` for a principal that may not approve it, `conflict` if it was
        decided before, has expired or is stale, and what `effects.take_effect` raises.
        """
        with self._ledger.writing() as writing:
            open_request = self._one(writing, approval_id)
            # The change may be erased once the request has ended.
            change = restored(open_request.kind, open_request.change) if open_request.change else None
            approval = granted(
                open_request,
                by,
                basis=open_request.basis if change is None else basis_of(writing, change),
                at=writing.now,
                policy=self._policy,
                revoked=_revoked(writing, open_request),
            )
            self._settle(writing, approval)
            if approval.state is State.granted and change is not None:
                take_effect(writing, change, by=approval.requested_by, approved_by=by.id)
        # After the commit: that the request is over is on record, although this call fails.
        if approval.state is State.expired:
            raise Refused("conflict", "The request has expired.")
        if approval.state is State.stale:
            raise Refused("conflict", STALE)
        return approval

    def refuse(self, approval_id: str, by: Decider) -> Approval:
        """Refuse or withdraw a request; return it. Raises Refused `not-found`, `forbidden`, `conflict`.

        A partner withdraws what this client or a later one requested (`earlier_clients.py`).
        """
        with self._ledger.writing() as writing:
            found = self._one(writing, approval_id)
            has_power = not found.is_partners or (
                found.client is not None and has_power_over(writing, by.client, found.client)
            )
            approval = refused(found, by, at=writing.now, has_power=has_power)
            self._settle(writing, approval)
        return approval

    def pending(self, transaction: Connection, approval_id: str | None) -> Approval | None:
        """Return a request that can still be granted; None if it was decided, has expired or is unknown."""
        found = None if approval_id is None else self._store.one(transaction, approval_id)
        if found is None or found.shown_at(self._ledger.clock.now()) is not State.requested:
            return None
        return found

    def end(self, writing: Writing, approval_id: str, step: ApprovalStep, *, by: str) -> None:
        """End a request without effect, because its subject has ended. Does nothing if it was decided."""
        found = self._store.one(writing.transaction, approval_id)
        if found is not None and found.state is State.requested:
            self._settle(writing, found.step(step, by=by, at=writing.now))

    def _end_what_lost_standing(
        self, writing: Writing, before: DirectoryEntry | None, after: DirectoryEntry, by: str
    ) -> None:
        """End the open requests of a client that was revoked, has another role or was issued again, and of an
        organisation that may not use the hub any more, with its challenges. End those that a member of the
        staff who lost its standing in this way has endorsed: the endorsement would count again with the next
        client of that principal.

        A partner's client ends only the requests that it made: those of the partner's other clients stay. A
        member of the staff has one client. Requests of earlier builds do not say which client made them; they
        end with the last one.
        """
        if isinstance(after, Client) and not (isinstance(before, Client) and before.live):
            if after.live:
                self._end_endorsements_of_earlier_builds(writing, after, by)
        elif isinstance(before, Client) and isinstance(after, Client):
            if after.live and after.roles == before.roles and not was_issued_again(before, after):
                return
            clients = writing.ledger.register.clients_of(writing.transaction, [after.principal])
            is_last = not any(one.live and one.roles == before.roles for one in clients if one.id != after.id)
            self._overtake(
                writing,
                self._store.open_by(writing.transaction, after.principal),
                lambda one: one.client == after.id or (is_last and not one.client),
                by,
            )
            self._overtake(
                writing,
                self._store.endorsed_by(writing.transaction, after.principal),
                lambda _: is_last,
                by,
            )
        elif (
            isinstance(before, Organization)
            and isinstance(after, Organization)
            and after.is_excluded
            and not before.is_excluded
        ):
            self._overtake(writing, self._store.open_by(writing.transaction, after.id), lambda _: True, by)
            writing.ledger.keys.close_challenges(writing.transaction, after.id)

    def _end_endorsements_of_earlier_builds(self, writing: Writing, new: Client, by: str) -> None:
        """End what a principal has endorsed whose only live client is a new one.

        Earlier builds left the endorsements of a revoked client: they would count again with this one.
        """
        endorsed = self._store.endorsed_by(writing.transaction, new.principal)
        if not endorsed:
            return
        clients = writing.ledger.register.clients_of(writing.transaction, [new.principal])
        if not any(one.live for one in clients if one.id != new.id):
            self._overtake(writing, endorsed, lambda _: True, by)

    def _overtake(
        self, writing: Writing, requests: Sequence[Approval], ends: Callable[[Approval], bool], by: str
    ) -> None:
        for one in requests:
            if ends(one):
                expired = one.shown_at(writing.now) is State.expired
                step = ApprovalStep.expire if expired else ApprovalStep.overtake
                self._settle(writing, one.step(step, by=by, at=writing.now))

    def one(self, approval_id: str, reader: ApprovalReader) -> Approval:
        """Return an approval. Raises Refused `not-found`, also for what the reader may not see."""
        with self._ledger.database.read() as transaction:
            found = self._store.one(transaction, approval_id, organization=reader.organization)
        if found is None:
            raise Refused("not-found", "There is no approval with this id.")
        return found

    def page(self, reader: ApprovalReader, state: State | None, after: str, limit: int) -> list[Approval]:
        """Return approvals that the reader may see, with ids above `after`, oldest first."""
        with self._ledger.database.read() as transaction:
            return self._store.page(
                transaction,
                organization=reader.organization,
                state=state,
                now=self._ledger.clock.now(),
                after=after,
                limit=limit,
            )

    def shown(self, approval: Approval) -> ApprovalRecord:
        """Return the approval as its readers see it, with the state that it has now."""
        return ApprovalRecord(
            id=approval.id,
            kind=approval.kind,
            subject=approval.subject,
            organization=approval.organization,
            state=approval.shown_at(self._ledger.clock.now()),
            requested_by=approval.requested_by,
            requested_at=approval.requested_at,
            expires_at=approval.expires_at,
            endorsed_by=approval.endorsed_by,
            endorsed_at=approval.endorsed_at,
            decided_by=approval.decided_by,
            decided_at=approval.decided_at,
            basis=approval.basis,
            digest=approval.digest,
            change=shown_change(approval.change),
        )

    def _one(self, writing: Writing, approval_id: str) -> Approval:
        found = self._store.one(writing.transaction, approval_id)
        if found is None:
            raise Refused("not-found", "There is no approval with this id.")
        return found

    def _make_room(self, writing: Writing, change: Change, by: str, client: str | None) -> None:
        """End expired requests, and refuse one more than requester or subject may have open.

        Requests of later clients of the organisation do not count, nor do those of the organisation for
        staff: a thief of a client could otherwise keep its owner from requesting anything. Requests for
        sealing keys, which stay side by side, count by requester: one operator could otherwise fill the room.
        """
        about = self._store.open(writing.transaction, change.kind, change.subject)
        whose = f"{change.subject} has {MOST_OPEN_ABOUT_SUBJECT} open requests of this kind"
        if change.kind is ApprovalKind.sealing_key:
            about = [one for one in about if one.requested_by == by]
            whose = f"You have {MOST_OPEN_ABOUT_SUBJECT} open requests for a sealing key of {change.subject}"
        own = self._store.open_by(writing.transaction, by)
        counted = (
            (own, MOST_OPEN_BY_REQUESTER, f"You have {MOST_OPEN_BY_REQUESTER} open requests"),
            (about, MOST_OPEN_ABOUT_SUBJECT, whose),
        )
        lapsed: dict[str, Approval] = {}
        for requests, most, too_many in counted:
            over = [one for one in requests if one.shown_at(writing.now) is State.expired]
            lapsed |= {one.id: one for one in over}
            counting = [one for one in requests if one not in over and _counts(writing, one, client)]
            if len(counting) >= most:
                raise Refused(
                    "too-many-open-requests",
                    f"{too_many}. Wait until some are decided, or refuse them; each expires after "
                    f"{VALID_FOR.days} days.",
                )
        for one in lapsed.values():
            self._settle(writing, one.step(ApprovalStep.expire, by=by, at=writing.now))

    def _settle(self, writing: Writing, approval: Approval) -> None:
        self._store.settle(writing.transaction, approval)
        decided: dict[str, Any] = {
            "id": approval.id,
            "kind": approval.kind,
            "subject": approval.subject,
            "requested_by": approval.requested_by,
            "by": approval.decided_by,
            "organization": approval.organization,
        }
        if approval.state is State.granted:
            granted = ApprovalGranted(**decided, digest=approval.digest, endorsed_by=approval.endorsed_by)
            writing.tell(granted, key=approval.subject)
        elif approval.state is State.requested:
            endorsed = {**decided, "by": approval.endorsed_by, "digest": approval.digest}
            writing.tell(ApprovalEndorsed(**endorsed), key=approval.subject)
        else:
            writing.tell(ApprovalRefused(**decided, reason=REFUSALS[approval.state]), key=approval.subject)
        self._settled(writing, approval)


def _may_stand_for(writing: Writing, earlier: Approval, client: str | None) -> bool:
    """Return whether nobody but `client` and those with power over it can withdraw the request."""
    if client is None or not earlier.is_partners:
        return True
    return earlier.client is not None and has_power_over(writing, earlier.client, client)


def _counts(writing: Writing, open_request: Approval, client: str | None) -> bool:
    """Return whether an open request counts against the bounds of a new one. client: None for staff."""
    if not open_request.is_partners:
        return True
    if client is None:
        return False
    maker = open_request.client
    return maker is None or maker == client or not has_power_over(writing, client, maker)


def _revoked(writing: Writing, approval: Approval) -> set[str]:
    """Return which of the requester and the endorser had clients but have no live one now.

    Also returns the client of the request if it was revoked.
    """
    principals = [one for one in (approval.requested_by, approval.endorsed_by) if one is not None]
    clients = writing.ledger.register.clients_of(writing.transaction, principals)
    principals_without = {one.principal for one in clients} - {one.principal for one in clients if one.live}
    return principals_without | {one.id for one in clients if one.id == approval.client and not one.live}
