"""The SQL implementation of `ports.ApprovalStore`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, or_, select, update

from contracts.codes import ApprovalKind
from runtime.turn import in_turns
from services.directory.adapters.tables import APPLICATIONS, APPROVALS, REVISIONS
from services.directory.domain.approval import Approval, State
from services.directory.domain.entry import Subject

_FIELDS = tuple(field.name for field in dataclasses.fields(Approval))


class SqlApprovalStore:
    """See `ports.ApprovalStore`."""

    def add(self, transaction: Connection, approval: Approval) -> None:
        """See `ports.ApprovalStore`."""
        row = {name: getattr(approval, name) for name in _FIELDS}
        transaction.execute(
            insert(APPROVALS), [{**row, "kind": approval.kind.value, "state": approval.state.value}]
        )

    def settle(self, transaction: Connection, approval: Approval) -> None:
        """See `ports.ApprovalStore`."""
        transaction.execute(
            update(APPROVALS)
            .where(APPROVALS.c.id == approval.id)
            .values(
                state=approval.state.value,
                decided_by=approval.decided_by,
                decided_at=approval.decided_at,
                endorsed_by=approval.endorsed_by,
                endorsed_at=approval.endorsed_at,
            )
        )

    def erase(self, transaction: Connection, approval_id: str) -> None:
        """See `ports.ApprovalStore`."""
        transaction.execute(update(APPROVALS).where(APPROVALS.c.id == approval_id).values(change={}))

    def one(
        self, transaction: Connection, approval_id: str, *, organization: str | None = None
    ) -> Approval | None:
        """See `ports.ApprovalStore`."""
        query = select(APPROVALS).where(APPROVALS.c.id == approval_id)
        if organization is not None:
            query = query.where(_shown_to(organization))
        row = transaction.execute(query).one_or_none()
        return None if row is None else _approval(row)

    def open(self, transaction: Connection, kind: ApprovalKind, subject: str) -> list[Approval]:
        """See `ports.ApprovalStore`."""
        query = select(APPROVALS).where(
            APPROVALS.c.state == State.requested.value,
            APPROVALS.c.kind == kind.value,
            APPROVALS.c.subject == subject,
        )
        return [_approval(row) for row in transaction.execute(query.order_by(APPROVALS.c.id))]

    def open_by(self, transaction: Connection, requester: str) -> list[Approval]:
        """See `ports.ApprovalStore`."""
        query = select(APPROVALS).where(
            APPROVALS.c.state == State.requested.value, APPROVALS.c.requested_by == requester
        )
        return [_approval(row) for row in transaction.execute(query.order_by(APPROVALS.c.id))]

    def endorsed_by(self, transaction: Connection, endorser: str) -> list[Approval]:
        """See `ports.ApprovalStore`."""
        query = select(APPROVALS).where(
            APPROVALS.c.state == State.requested.value, APPROVALS.c.endorsed_by == endorser
        )
        return [_approval(row) for row in transaction.execute(query.order_by(APPROVALS.c.id))]

    def page(
        self,
        transaction: Connection,
        *,
        organization: str | None,
        state: State | None,
        now: dt.datetime,
        after: str,
        limit: int,
    ) -> list[Approval]:
        """See `ports.ApprovalStore`."""
        query = select(APPROVALS).where(APPROVALS.c.id > after).order_by(APPROVALS.c.id).limit(limit)
        if organization is not None:
            query = query.where(_shown_to(organization))
        if state is not None:
            query = query.where(_shown_as(state, now))
        return [_approval(row) for row in in_turns(transaction.execute(query))]


def _shown_to(organization: str) -> ColumnElement[bool]:
    older = exists().where(
        REVISIONS.c.subject == Subject.organization.value,
        REVISIONS.c.id == organization,
        REVISIONS.c.number == 1,
        REVISIONS.c.changed_at > APPROVALS.c.requested_at,
    )
    applicants = exists().where(APPLICATIONS.c.approval_id == APPROVALS.c.id)
    return and_(
        APPROVALS.c.organization == organization,
        or_(APPROVALS.c.state == State.granted.value, and_(~older, ~applicants)),
    )


def _shown_as(state: State, now: dt.datetime) -> ColumnElement[bool]:
    stored = APPROVALS.c.state == state.value
    if state is State.requested:
        return and_(stored, APPROVALS.c.expires_at > now)
    if state is State.expired:
        lapsed = and_(APPROVALS.c.state == State.requested.value, APPROVALS.c.expires_at <= now)
        return or_(stored, lapsed)
    return stored


def _approval(row: Any) -> Approval:
    values = {name: getattr(row, name) for name in _FIELDS}
    return Approval(**{**values, "kind": ApprovalKind(row.kind), "state": State(row.state)})
