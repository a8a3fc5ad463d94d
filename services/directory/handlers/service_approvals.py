"""Commands that approve an organisation's services for sensitive needs."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import Refused
from contracts.organization import Organization
from runtime.clock import Clock
from services.directory.domain.precondition import Precondition
from services.directory.domain.service_approval import with_approval, without_approval
from services.directory.handlers.entries import Entries, Written


class ServiceApprovals:
    """Routing asks a service for a sensitive need only while it is approved here."""

    def __init__(self, entries: Entries, clock: Clock) -> None:
        self._entries = entries
        self._clock = clock

    def approve(
        self,
        approver: str,
        organization: str,
        service: str,
        needs: Sequence[str],
        *,
        precondition: Precondition | None = None,
    ) -> Written[Organization]:
        """Approve a service for exactly these needs. precondition: on the whole record.

        Raises Refused: what `with_approval` raises, `not-found`, `precondition-failed`, and `forbidden` for
        the approver's own organisation.
        """
        _refuse_own(approver, organization)
        at = self._clock.now()
        return self._entries.amend_organization(
            organization,
            lambda present: with_approval(present, service, needs, by=approver, at=at),
            by=approver,
            precondition=precondition,
        )

    def withdraw(
        self, approver: str, organization: str, service: str, *, precondition: Precondition | None = None
    ) -> Written[Organization]:
        """Withdraw a service's approval. Raises what `approve` raises."""
        _refuse_own(approver, organization)
        return self._entries.amend_organization(
            organization,
            lambda present: without_approval(present, service),
            by=approver,
            precondition=precondition,
        )


def _refuse_own(approver: str, organization: str) -> None:
    if approver == organization:
        raise Refused("forbidden", "An organisation cannot decide on its own services.")
