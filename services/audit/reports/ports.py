"""The ports of the reports, in addition to those of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from services.audit.log.ports import StoredLeaf
from services.audit.reports.domain.statistics_counts import CountedReferral


class ReferralReader(Protocol):
    """Reads the referrals that statistics count, inside the caller's transaction."""

    def of(
        self, transaction: Connection, submitted: Sequence[StoredLeaf], *, stop: int
    ) -> list[CountedReferral]:
        """Return the referrals of these submissions, as the first `stop` entries of the log describe them."""
        ...
