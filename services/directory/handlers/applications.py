"""Applications to join the network: taken from anybody, decided by the staff, erased in time."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from contracts.application import Application, ApplicationRejection, ApplicationRequest, ApplicationVetting
from contracts.codes import ApplicationState, ApplicationStep
from contracts.commitment import SALT_BYTES
from contracts.errors import PointerError, Refused, Unavailable
from contracts.facts import ApplicationSubmitted
from contracts.jose import encoded
from runtime.identifiers import new_id
from runtime.storage.pruning import prune
from services.directory.domain.application import (
    KeptApplication,
    as_organization,
    commitment,
    reference_digest,
    rejected,
)
from services.directory.domain.approval import Approval, ApprovalStep
from services.directory.domain.change import RecordChange
from services.directory.handlers.application_steps import ApplicationSteps
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.ledger import Ledger, Writing
from services.directory.ports import ApplicationStore

_REFERENCE_BYTES: Final = 32
# For a full queue, which does not empty within seconds.
_RETRY_AFTER: Final = 3600
# How long after it was sent a withdrawn application still counts towards the limit.
_WITHDRAWN_COUNTS: Final = dt.timedelta(days=1)
# Applications that one run ends, so that it holds up no other writer for long.
_AT_ONCE: Final = 100


class LimitReached(Unavailable):
    """The limit of waiting applications is reached; those withdrawn within their first day count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """An application as its sender gets it. reference: None if the sender made it."""

    application: KeptApplication
    reference: str | None


class Applications:
    """Takes a limited number of applications, and keeps each until it is decided or expires.

    Its answers depend on the application and on how many wait, never on who is a member or who
    has applied: ids and parents are compared when the staff vet it.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: ApplicationStore,
        approvals: Approvals,
        steps: ApplicationSteps,
        decided_within: dt.timedelta,
        most_waiting: int,
        count: Callable[[int], object],
        *,
        new_secret: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """decided_within: an application that nobody decides about expires then.

        most_waiting: the most open applications, with those withdrawn within a day of being sent; 0: the
        network takes none. count: sets a metric.
        """
        self._ledger = ledger
        self._store = store
        self._approvals = approvals
        self._steps = steps
        self._decided_within = decided_within
        self._most_waiting = most_waiting
        self._count = count
        self._new_secret = new_secret

    @property
    def taken(self) -> bool:
        """Return whether the network takes applications at all."""
        return self._most_waiting > 0

    def new_reference(self) -> str:
        """Return a reference for an applicant."""
        return encoded(self._new_secret(_REFERENCE_BYTES))

    def apply(self, request: ApplicationRequest) -> Applied:
        """Store an application. A repetition under the same reference returns the first one.

        Raises LimitReached when too many wait, and Refused `conflict` for another application under the same
        reference.
        """
        content = Application(
            name=request.name,
            kind=request.kind,
            country=request.country,
            languages=request.languages,
            description=request.description,
            contact=request.contact,
            website=request.website,
            parent=request.parent,
            proposed_id=request.proposed_id,
        )
        reference = None if request.reference_sha256 is not None else self.new_reference()
        digest = request.reference_sha256 or reference_digest(reference or "")
        with self._ledger.writing() as writing:
            known = self._store.by_reference(writing.transaction, digest)
            if known is not None:
                if known.content != content:
                    raise Refused("conflict", "The reference was used for another application, or it ended.")
                return Applied(application=known, reference=None)
            if self._count_taken(writing.transaction, writing.now) >= self._most_waiting:
                raise LimitReached(
                    "The network takes no applications now. Try again in some days, or ask a member.",
                    retry_after=_RETRY_AFTER,
                )
            made = KeptApplication(
                id=new_id(),
                state=ApplicationState.waiting,
                content=content,
                salt=encoded(self._new_secret(SALT_BYTES)),
                reference_sha256=digest,
                submitted_at=writing.now,
                expires_at=writing.now + self._decided_within,
            )
            assert made.salt is not None
            self._store.add(writing.transaction, made)
            fact = ApplicationSubmitted(
                application_id=made.id,
                content=commitment(made.id, content, made.salt),
                expires_at=made.expires_at,
            )
            writing.tell(fact, key=made.id)
        return Applied(application=made, reference=reference)

    def status(self, application_id: str, reference: str) -> KeptApplication:
        """Return the applicant's own application. Raises Refused `not-found`, also for a wrong reference."""
        with self._ledger.database.read() as transaction:
            return self._own(transaction, application_id, reference)

    def withdraw(self, application_id: str, reference: str) -> KeptApplication:
        """Withdraw an application and erase what was sent; a repetition changes nothing.

        Raises Refused `not-found`, also for a wrong reference, and `conflict` if it was decided.
        """
        with self._ledger.writing() as writing:
            known = self._own(writing.transaction, application_id, reference)
            if known.state is ApplicationState.withdrawn:
                return known
            self._end_approval(writing, known, by=self._ledger.source)
            return self._steps.take(writing, known, ApplicationStep.withdrawn, by=None)

    def one(self, application_id: str) -> KeptApplication:
        """Return an application to the staff. Raises Refused `not-found`."""
        with self._ledger.database.read() as transaction:
            return _found(self._store.one(transaction, application_id))

    def page(self, state: ApplicationState | None, after: str, limit: int) -> Sequence[KeptApplication]:
        """Return applications with ids above `after`, ordered by id, which is their age."""
        with self._ledger.database.read() as transaction:
            return self._store.page(transaction, state, after, limit)

    def vet(self, application_id: str, vetting: ApplicationVetting, *, by: str) -> KeptApplication:
        """Ask to vet an application, or vet it where one person decides. A repetition changes nothing.

        Raises Refused: `not-found`; `conflict` for an id that a member has, another person's request that
        waits, or an application that was decided; `unknown-organization` for the parent;
        `invalid-submission` without an id; `too-many-open-requests`.
        """
        with self._ledger.writing() as writing:
            known = _found(self._store.one(writing.transaction, application_id))
            content = known.content
            if not known.is_open or content is None:
                raise Refused("conflict", f"The application is already {known.state}.")
            wanted = as_organization(content, vetting, by=by, on=writing.now.date())
            if writing.organization(wanted.id) is not None:
                where = PointerError(pointer="/id", detail="An organisation of the directory has this id.")
                raise Refused("conflict", "Choose another id for the organisation.", errors=[where])
            earlier = self._approvals.pending(writing.transaction, known.approval_id)
            if earlier is not None and earlier.requested_by != by:
                raise Refused("conflict", f"The request {earlier.id} to vet it waits for approval.")
            known = replace(known, organization=wanted.id)
            decided = self._approvals.decide(writing, RecordChange(organization=wanted), by=by)
            if not isinstance(decided, Approval):
                return self._steps.take(writing, known, ApplicationStep.vetted, by=by)
            if earlier is not None and decided.id == earlier.id:
                return known
            same = self._store.by_approval(writing.transaction, decided.id)
            if same is not None:
                raise Refused("conflict", f"The application {same.id} is the same and is in approval.")
            self._end_approval(writing, known, by=by)
            asked = replace(known, approval_id=decided.id)
            return self._steps.take(writing, asked, ApplicationStep.vetting_requested, by=by)

    def refuse(self, application_id: str, rejection: ApplicationRejection, *, by: str) -> KeptApplication:
        """Refuse an application, or a withdrawn one, which then no longer counts towards the limit.

        Raises Refused `not-found`, and `conflict` if it was decided otherwise.
        """
        with self._ledger.writing() as writing:
            known = _found(self._store.one(writing.transaction, application_id))
            if (known.state, known.reason, known.note) == (
                ApplicationState.refused,
                rejection.reason,
                rejection.note,
            ):
                return known
            ended = rejected(known, rejection, by=by, at=writing.now, kept=self._steps.kept)
            self._end_approval(writing, known, by=by)
            return self._steps.record(writing, ended, ApplicationStep.refused, by=by)

    def tidy(self) -> None:
        """End what nobody decided about in time, delete the traces of what has ended, and count the rest."""
        now = self._ledger.clock.now()
        with self._ledger.database.read() as transaction:
            asked = self._store.page(transaction, ApplicationState.in_approval, "", _AT_ONCE)
        for application in asked:
            self._end_lapsed(application)
        with self._ledger.database.read() as transaction:
            overdue = self._store.overdue(transaction, now, _AT_ONCE)
        for application_id in overdue:
            self._expire(application_id)
        prune(self._ledger.database, lambda transaction, limit: self._store.forget(transaction, now, limit))
        with self._ledger.database.read() as transaction:
            self._count(self._store.count_open(transaction))

    def _end_lapsed(self, application: KeptApplication) -> None:
        """Let an application wait again if the second person did not approve it in time."""
        with self._ledger.database.read() as transaction:
            if self._approvals.pending(transaction, application.approval_id) is not None:
                return
        with self._ledger.writing() as writing:
            known = self._store.one(writing.transaction, application.id)
            if known is not None and known.approval_id == application.approval_id:
                self._end_approval(writing, known, by=self._ledger.source, step=ApprovalStep.expire)

    def _expire(self, application_id: str) -> None:
        with self._ledger.writing() as writing:
            known = self._store.one(writing.transaction, application_id)
            if known is None or known.state is not ApplicationState.waiting:
                return
            self._steps.take(writing, known, ApplicationStep.expired, by=None)

    def full(self) -> str | None:
        """Return the warning that the network accepts no further applications; None while it does."""
        if not self.taken:
            return None  # its operators chose to take none, so there is nothing to warn of
        with self._ledger.database.read() as transaction:
            number = self._count_taken(transaction, self._ledger.clock.now())
        if number < self._most_waiting:
            return None
        return (
            f"no further application is accepted: {number} wait or were withdrawn in the last day; "
            "decide about those that wait, and refuse those that are not genuine"
        )

    def counted(self) -> tuple[int, int]:
        """Return how many applications count towards the limit, and the limit."""
        with self._ledger.database.read() as transaction:
            return self._count_taken(transaction, self._ledger.clock.now()), self._most_waiting

    def _count_taken(self, transaction: Connection, now: dt.datetime) -> int:
        """Return how many applications count: the open ones, and those withdrawn within their first day.

        A sender that withdraws what it sends would fill the coordinators' mailbox and the log otherwise.
        """
        since = now - _WITHDRAWN_COUNTS
        withdrawn = self._store.count_withdrawn(transaction, since, self._most_waiting)
        return self._store.count_open(transaction) + withdrawn

    def _own(self, transaction: Connection, application_id: str, reference: str) -> KeptApplication:
        known = self._store.one(transaction, application_id)
        if known is None or not known.opens_with(reference):
            raise Refused("not-found", "There is no application with this id and reference.")
        return known

    def _end_approval(
        self,
        writing: Writing,
        application: KeptApplication,
        *,
        by: str,
        step: ApprovalStep = ApprovalStep.overtake,
    ) -> None:
        if application.state is ApplicationState.in_approval and application.approval_id is not None:
            self._approvals.end(writing, application.approval_id, step, by=by)


def _found(application: KeptApplication | None) -> KeptApplication:
    if application is None:
        raise Refused("not-found", "There is no application with this id.")
    return application
