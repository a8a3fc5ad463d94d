"""The watched employers: shown to everybody, with the replies that coordinators enter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from sqlalchemy import Connection

from contracts.employer import ReplyText
from contracts.errors import Refused
from contracts.facts import EmployerReplied
from runtime.storage.pruning import prune
from runtime.turn import Turn, in_turns
from services.directory.domain.employer_identity import entry_keys, normalized_name
from services.directory.domain.watch_report import EmployerReply
from services.directory.domain.watched import Watched, watched_employers
from services.directory.handlers.ledger import Ledger
from services.directory.handlers.watch_reports import with_parents
from services.directory.ports import WatchStore


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedSearch:
    """The watched employers to show. region: a region, or a country. name: words of the name."""

    country: str | None = None
    region: str | None = None
    name: str | None = None

    def found_in(self, watched: Iterable[Watched]) -> Iterator[Watched]:
        """Yield the employers that, as they are shown, meet every condition."""
        name = None if self.name is None else normalized_name(self.name)
        for one in watched:
            employer = one.employer
            if (
                self.country in (None, employer.country)
                and self.region in (None, employer.country, employer.region)
                and (name is None or name in normalized_name(employer.name))
            ):
                yield one


class WatchedEmployers:
    """Decides at each reading, so that a suspension, a retraction and an expiry count at once.

    A reading takes all reports of the country that have not expired (or of all countries), and gives way to
    other requests meanwhile.
    """

    def __init__(self, ledger: Ledger, store: WatchStore, kept: dt.timedelta) -> None:
        """kept: how long a report counts."""
        self._ledger = ledger
        self._store = store
        self._kept = kept

    def page(self, search: WatchedSearch, after: str, limit: int) -> Sequence[Watched]:
        """Return at most `limit` watched employers with ids above `after`, ordered by id."""
        with self._ledger.database.read() as transaction:
            found = self._watched(transaction, search.country, self._ledger.clock.now())
        later = (one for one in in_turns(found) if one.id > after)
        return list(islice(search.found_in(later), limit))

    def one(self, watched_id: str) -> Watched:
        """Return a watched employer. Raises Refused `not-found`, also for one that is not watched now."""
        with self._ledger.database.read() as transaction:
            return self._one(transaction, watched_id, self._ledger.clock.now())

    def reply(self, watched_id: str, text: ReplyText, *, by: str) -> Watched:
        """Record an employer's reply in place of an earlier one. by: the coordinator that enters it.

        Raises Refused `not-found`. A repetition changes nothing.
        """
        with self._ledger.writing() as writing:
            watched = self._one(writing.transaction, watched_id, writing.now)
            if watched.reply is not None and watched.reply.text == text:
                return watched
            reply = EmployerReply(
                watched_id=watched_id, employer=watched.employer, text=text, by=by, at=writing.now
            )
            self._store.put_reply(writing.transaction, reply)
            writing.tell(
                EmployerReplied(
                    watched_id=watched_id,
                    employer=watched.employer,
                    text=text,
                    by=by,
                    recipients=watched.recipients,
                ),
                key=watched_id,
            )
            return replace(watched, reply=reply)

    def forget_old(self) -> bool:
        """Delete some expired reports, and replies without a remaining report; return whether none is left.

        A reply stays when every report is retracted: otherwise a reporter could remove it by retracting and
        reporting again.
        """
        now = self._ledger.clock.now()

        def reports_before(transaction: Connection, limit: int) -> int:
            return self._store.forget_reports(transaction, now - self._kept, limit)

        finished = prune(self._ledger.database, reports_before)
        turn = Turn()
        with self._ledger.database.write() as transaction:
            rest = {reply.watched_id for reply in self._store.replies(transaction, None)}
            for employer in self._store.reported(transaction) if rest else ():
                rest.difference_update(key.id for key in entry_keys(employer))
                turn.end_if_over()
            self._store.forget_replies(transaction, sorted(rest))
        return finished

    def _one(self, transaction: Connection, watched_id: str, now: dt.datetime) -> Watched:
        for watched in self._watched(transaction, None, now):
            if watched.id == watched_id:
                return watched
        raise Refused("not-found", "No watched employer has this id now.")

    def _watched(self, transaction: Connection, country: str | None, now: dt.datetime) -> list[Watched]:
        reports = self._store.counting(transaction, since=now - self._kept, country=country)
        named = {report.reporter for report in reports}.union(*(report.recipients for report in reports))
        return watched_employers(
            reports,
            self._store.replies(transaction, country),
            with_parents(transaction, self._ledger.register, named),
            now=now,
            kept=self._kept,
            pause=Turn().end_if_over,
        )
