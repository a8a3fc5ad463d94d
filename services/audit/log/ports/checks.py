"""The results of earlier checks of the log."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from services.audit.log.domain.prefix import Prefix


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedPrefix:
    """A prefix that was verified. time: when the verification began, or when it was complete."""

    prefix: Prefix
    time: dt.datetime


class CheckRecord(Protocol):
    """Results of earlier log checks. Every method works inside the caller's transaction.

    The record proves nothing by itself: `handlers.self_check` says how far it is used. Readers raise
    ValueError for a malformed record.
    """

    def checked(self, transaction: Connection) -> VerifiedPrefix | None:
        """Return the prefix that a start need not read again. Its time: when it had all been read."""
        ...

    def keep_checked(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """Replace the checked prefix."""
        ...

    def extend_checked(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """Replace the checked prefix only if there is one: a deleted record stays deleted."""
        ...

    def forget_checked(self, transaction: Connection) -> None:
        """Delete the checked prefix, so that the next start reads everything."""
        ...

    def round(self, transaction: Connection) -> VerifiedPrefix | None:
        """Return the progress of the current inspection round, and when it began."""
        ...

    def keep_round(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """Replace the progress of the round."""
        ...

    def forget_round(self, transaction: Connection) -> None:
        """Delete the progress, so that the next round begins at the first entry."""
        ...
