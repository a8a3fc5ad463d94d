"""The command that suspends an organisation."""

from __future__ import annotations

from contracts.codes import SuspensionReason
from contracts.errors import Refused
from contracts.organization import Organization
from services.directory.domain.entry import Standing
from services.directory.domain.precondition import ANY_REVISION, Precondition, check_precondition
from services.directory.domain.suspension import suspended
from services.directory.handlers.ledger import Ledger


class Suspensions:
    """Takes effect at once: one member of the staff suffices, because suspension protects persons."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def suspend(
        self,
        organization: str,
        reason: SuspensionReason,
        *,
        by: str,
        precondition: Precondition | None = None,
    ) -> Standing[Organization]:
        """Suspend an organisation; return its record. The reason and `by` are in `organization.changed`.

        An organisation that is suspended for this reason already keeps its record, and no fact follows.
        Another reason is a new revision of the same record. Raises Refused `not-found`,
        `precondition-failed`, and `conflict` for an organisation that has left.
        """
        with self._ledger.writing() as writing:
            present = writing.standing(Organization, organization)
            if present is None:
                raise Refused("not-found", "The directory has no organisation with this id.")
            wanted = suspended(present.entry)
            before = writing.suspension(organization)
            if before is not None and before.reason is reason:
                # A repetition after a lost response succeeds: RFC 9110 §13.1.1.
                return present
            check_precondition(present.revision, precondition or ANY_REVISION)
            return writing.put(wanted, by=by, reason=reason)
