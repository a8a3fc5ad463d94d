"""The steps of applications, each stored and put on record in the transaction that takes it."""

from __future__ import annotations

import datetime as dt

from contracts.codes import ApplicationState, ApplicationStep
from contracts.facts import ApplicationDecided
from services.directory.domain.application import KeptApplication
from services.directory.domain.approval import Approval, State
from services.directory.handlers.ledger import Writing
from services.directory.ports import ApplicationStore, ApprovalStore


class ApplicationSteps:
    """Stores steps, and follows the approvals of requests to vet an application."""

    def __init__(self, store: ApplicationStore, approvals: ApprovalStore, kept: dt.timedelta) -> None:
        """kept: how long the traces of an application are kept after its end."""
        self._store = store
        self._approvals = approvals
        self.kept = kept

    def record(
        self, writing: Writing, changed: KeptApplication, step: ApplicationStep, *, by: str | None
    ) -> KeptApplication:
        """Store an application after a step, with its fact; return it."""
        self._store.settle(writing.transaction, changed)
        named = step in (ApplicationStep.vetting_requested, ApplicationStep.vetted)
        fact = ApplicationDecided(
            application_id=changed.id,
            step=step,
            by=by,
            reason=changed.reason,
            approval_id=changed.approval_id,
            organization=changed.organization if named else None,
        )
        writing.tell(fact, key=changed.id)
        return changed

    def take(
        self, writing: Writing, application: KeptApplication, step: ApplicationStep, *, by: str | None
    ) -> KeptApplication:
        """Take a step. Raises Refused `conflict` if the application's state does not permit it."""
        changed = application.step(step, by=by, at=writing.now, kept=self.kept)
        return self.record(writing, changed, step, by=by)

    def approval_settled(self, writing: Writing, approval: Approval) -> None:
        """Follow an approval that was endorsed or decided, in the transaction of the decision.

        A request that ended without effect loses what it says of the applicant: the application still has it
        while it is kept, and nothing has it afterwards.
        """
        known = self._store.by_approval(writing.transaction, approval.id)
        if known is not None and approval.state not in (State.granted, State.requested):
            self._approvals.erase(writing.transaction, approval.id)
        if known is None or known.state is not ApplicationState.in_approval:
            return
        if approval.state is State.granted:
            self.take(writing, known, ApplicationStep.vetted, by=approval.decided_by)
        elif approval.state is not State.requested:
            self.take(writing, known, ApplicationStep.vetting_ended, by=approval.decided_by)
