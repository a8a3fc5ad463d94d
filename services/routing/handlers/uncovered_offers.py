"""The end of open offers whose holders may not have their referrals any more.

They are no longer approved, or lack an agreement, or the person's consent does not cover them any more.
"""

from __future__ import annotations

import datetime as dt
from itertools import islice
from typing import Final

from contracts.organization import EVERY_VETTED_ORGANIZATION
from runtime.storage.database import Database
from services.routing.domain.standing import (
    revoke_unapproved,
    revoke_without_agreement,
    revoke_without_consent,
)
from services.routing.handlers.transactions import RoutingTransactions
from services.routing.live_directory import LiveDirectory
from services.routing.ports import ReferralStore

# The most referrals that one call looks at, the most organisations of one look-up, and the most look-ups.
PAGE: Final = 200
ORGANIZATIONS_AT_ONCE: Final = 500
LOOKUPS_AT_ONCE: Final = 20
# A decision that began before a change may commit its offer after it: each change is looked up again then.
SETTLED_AFTER: Final = dt.timedelta(seconds=10)


class UncoveredOffers:
    """Looks at open offers of organisations whose approvals, agreements, kind, country or parents changed.

    Not safe for concurrent calls. An agreement that begins or ends with a day counts as changed then. After
    the start all organisations are looked up, so a crash delays the effect and loses nothing. They are looked
    up in the order of their changes, a page of referrals at a time, so that an organisation that changes its
    record again and again delays no other. Each process acts on the changes of its own copy of the directory,
    but ends no offer that another one has made after later changes (`RoutingTransactions.finish`). An
    acceptance is refused also before its offer was looked at (`domain/lifecycle.py`).
    """

    def __init__(
        self,
        database: Database,
        store: ReferralStore,
        network: LiveDirectory,
        transactions: RoutingTransactions,
    ) -> None:
        self._database = database
        self._store = store
        self._network = network
        self._transactions = transactions
        # Organisations to look up, in order, and those of the present look-up with its position.
        self._waiting: dict[str, None] = {}
        self._present: tuple[str, ...] = ()
        self._after: str | None = None
        # When each changed organisation is looked up a second time.
        self._again: dict[str, dt.datetime] = {}
        # The day of the last look at the agreements.
        self._day: dt.date | None = None

    def end(self, now: dt.datetime) -> int:
        """Revoke the offers on a page of referrals, and ask the next candidates; return how many changed.

        Raises DatabaseUnavailable, and Unavailable if another process was faster or has read later changes of
        the directory. Then the next call looks at the page again.
        """
        self._note(now)
        changed = 0
        left = PAGE
        for _ in range(LOOKUPS_AT_ONCE):
            if not self._begin() or left <= 0:
                break
            looked_at, ended = self._page(left, now)
            left -= looked_at
            changed += ended
        return changed

    @property
    def is_looking(self) -> bool:
        """Whether organisations are still to be looked up, now or later."""
        return bool(self._waiting or self._present or self._again)

    def _note(self, now: dt.datetime) -> None:
        directory, today = self._network.directory, now.date()
        changed = self._network.take_affected()
        if self._day is not None and self._day != today:
            changed |= directory.parties_concerned_between(self._day, today)
        self._day = today
        if EVERY_VETTED_ORGANIZATION in changed:
            changed = set(directory.organizations())
        due = [organization for organization, at in self._again.items() if at <= now]
        for organization in due:
            del self._again[organization]
        self._waiting |= dict.fromkeys([*sorted(changed), *due])
        self._again |= dict.fromkeys(changed, now + SETTLED_AFTER)

    def _begin(self) -> bool:
        """Begin the next look-up if the present one has ended; return False if nothing is left."""
        if not self._present:
            self._present = tuple(islice(self._waiting, ORGANIZATIONS_AT_ONCE))
            for organization in self._present:
                del self._waiting[organization]
        return bool(self._present)

    def _page(self, limit: int, now: dt.datetime) -> tuple[int, int]:
        """Look at the next referrals; return how many there were, and how many changed."""
        with self._database.read() as transaction:
            ids = self._store.offered_after(transaction, self._present, self._after, limit)
            known = self._store.view(transaction, ids) if ids else {}
        context = self._transactions.context(now)
        wanted = [
            id_
            for id_, referral in known.items()
            if not all(
                context.is_approved(referral, offer)
                and context.has_agreement(referral, offer)
                and context.has_consent(referral, offer)
                for offer in referral.open_offers
            )
        ]
        steps = [revoke_unapproved, revoke_without_agreement, revoke_without_consent]
        self._transactions.change(dict.fromkeys(wanted, steps), now)
        if len(ids) == limit:
            self._after = ids[-1]
        else:
            self._present, self._after = (), None
        return len(ids), len(wanted)
