"""The answers of a hub's services about one referral, limited to what the viewer may read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from kopuro_client.records import AdmittedSubmission, MessageState, Referral, TimelineEntry

# The facts of submissions that routing decides about. It does not read notes.
DECIDED = frozenset(
    {
        "referral.submitted",
        "answer.submitted",
        "progress.submitted",
        "outcome.submitted",
        "hand_back.submitted",
        "withdrawal.submitted",
        "revocation.submitted",
        "unreadable.submitted",
        "replacement.submitted",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged:
    """An entry of the audit log. fact: such as `offer.opened`; sentence: what it says, for people."""

    index: int
    time: dt.datetime
    fact: str
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceRecords:
    """The answers of the services at one moment.

    viewer: the organisation that asks, None for staff. submissions: from intake. referral: routing's view by
    way of intake, None if neither knows it. messages: from delivery. entries: from audit. log_size: the
    number of entries that the newest checkpoint signs. silent: the services that gave no answer;
    their part is missing here. is_acceptor_excluded: whether the directory excludes the acceptor now; None
    if it was not asked.
    """

    viewer: str | None
    now: dt.datetime
    submissions: Sequence[AdmittedSubmission] = ()
    referral: Referral | None = None
    messages: Sequence[MessageState] = ()
    entries: Sequence[Logged] = ()
    log_size: int | None = None
    silent: frozenset[str] = frozenset()
    is_acceptor_excluded: bool | None = None

    @property
    def acceptor_suspended(self) -> str | None:
        """The acceptor if its suspension is the last of its steps, so that its standing matters."""
        step = self.last("referral.acceptor_suspended", "offer.accepted", "referral.progressed")
        if self.referral is None or step is None or step["fact"] != "referral.acceptor_suspended":
            return None
        return self.referral["acceptor"]

    @property
    def timeline(self) -> Sequence[TimelineEntry]:
        """The referral's steps as routing recorded them."""
        return () if self.referral is None else self.referral["timeline"]

    def last(self, *facts: str) -> TimelineEntry | None:
        """Return the last step of the timeline that is one of these facts."""
        return next((step for step in reversed(self.timeline) if step["fact"] in facts), None)

    def undecided(self) -> AdmittedSubmission | None:
        """Return the first submission that routing has not decided about yet.

        Routing reads the submissions about one referral in their order, so a later one that it has read shows
        that it has read this one too.
        """
        read = {(step["fact"], moment_of(step["time"])) for step in self.timeline}
        latest = max((time for fact, time in read if fact in DECIDED), default=None)
        for one in self.submissions:
            admitted = moment_of(one["admitted_at"])
            if (
                one["fact"] in DECIDED
                and (one["fact"], admitted) not in read
                and (latest is None or latest < admitted)
            ):
                return one
        return None


def moment_of(text: str) -> dt.datetime:
    """Return the time of an RFC 3339 text."""
    return dt.datetime.fromisoformat(text)


def short_fact(type_: str) -> str:
    """Return the fact of a CloudEvent's type: `offer.opened` of `kopuro.offer.opened.v1`."""
    return type_.removeprefix("kopuro.").rpartition(".v")[0] or type_
