"""What the reports need beside the log's ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from services.audit.log.ports import StoredLeaf
from services.audit.reports.domain.statistics_counts import CountedReferral


class ReferralReader(Protocol):
    """Reads what statistics count, inside the caller's transaction."""

    def of(
        self, transaction: Connection, submitted: Sequence[StoredLeaf], *, stop: int
    ) -> list[CountedReferral]:
        """The referrals of these submissions, with what the first `stop` entries tell of them."""
        ...
