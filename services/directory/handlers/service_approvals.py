"""Commands that approve an organisation's services for sensitive needs."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.codes import WithdrawalOfApproval
from contracts.errors import Refused
from contracts.organization import Organization
from services.directory.domain.approval import Approval
from services.directory.domain.change import ServiceChange
from services.directory.domain.entry import Standing
from services.directory.domain.precondition import ANY_REVISION, Precondition, check_precondition
from services.directory.domain.service_approval import without_approval
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.ledger import Ledger, Writing


class ServiceApprovals:
    """Routing asks a service for a sensitive need only while it is approved here."""

    def __init__(self, ledger: Ledger, approvals: Approvals) -> None:
        self._ledger = ledger
        self._approvals = approvals

    def approve(
        self,
        approver: str,
        organization: str,
        service: str,
        needs: Sequence[str],
        *,
        precondition: Precondition | None,
    ) -> Standing[Organization] | Approval:
        """Approve a service for exactly these needs. precondition: the revision that the approver has read.

        Returns the request if a second person must approve it too. Raises Refused: what `with_approval`
        raises, `not-found`, `precondition-failed`, `precondition-required` without a revision, because the
        organisation could widen the service before the approval takes effect, and `forbidden` for the
        approver's own organisation.
        """
        if precondition is None or precondition.revisions is None:
            raise Refused(
                "precondition-required",
                "Read the record, then send its ETag in `If-Match`: the approval covers what you read.",
            )
        change = ServiceChange(organization=organization, service=service, needs=tuple(sorted(set(needs))))
        with self._ledger.writing() as writing:
            _present(writing, approver, organization, precondition)
            decided = self._approvals.decide(writing, change, by=approver)
            return decided if isinstance(decided, Approval) else _standing(writing, organization)

    def withdraw(
        self,
        approver: str,
        organization: str,
        service: str,
        reason: WithdrawalOfApproval,
        *,
        precondition: Precondition | None = None,
    ) -> Standing[Organization]:
        """Withdraw a service's approval. One person may, because it protects.

        The reason is in `service_approval.ended`. Raises what `approve` raises.
        """
        with self._ledger.writing() as writing:
            present = _present(writing, approver, organization, precondition)
            return writing.put(without_approval(present.entry, service), by=approver, withdrawn_for=reason)


def _present(
    writing: Writing, approver: str, organization: str, precondition: Precondition | None
) -> Standing[Organization]:
    if approver == organization:
        raise Refused("forbidden", "An organisation cannot decide on its own services.")
    present = _standing(writing, organization)
    check_precondition(present.revision, precondition or ANY_REVISION)
    return present


def _standing(writing: Writing, organization: str) -> Standing[Organization]:
    found = writing.standing(Organization, organization)
    if found is None:
        raise Refused("not-found", "The directory has no organisation with this id.")
    return found
