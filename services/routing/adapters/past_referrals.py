"""The newest referrals as experience, from the tables `referrals` and `timeline`."""

from __future__ import annotations

import datetime as dt

import orjson
from sqlalchemy import Connection

from contracts.codes import ReferralStatus
from contracts.vocabularies import country_of, need_group
from runtime.storage.columns import microseconds, moment_of
from services.routing.adapters import statements
from services.routing.domain.experience import PastReferral
from services.routing.domain.reduced_facts import is_reduced

_WITHDRAWN = (ReferralStatus.withdrawn, ReferralStatus.entered_in_error)


class SqlPastReferrals:
    """See `ports.PastReferrals`."""

    def newest(
        self, transaction: Connection, since: dt.datetime, until: dt.datetime, limit: int
    ) -> list[PastReferral]:
        """See `ports.PastReferrals`."""
        found = []
        for (
            id_,
            part_of,
            sender,
            facts,
            submitted_at,
            status,
            answered_at,
            unplaced,
        ) in statements.PAST_REFERRALS.run(transaction, microseconds(until), limit):
            stored = orjson.loads(facts)
            if moment_of(submitted_at) < since or is_reduced(stored):
                continue
            # Withdrawn before anything happened: the network had no time to answer.
            if status in _WITHDRAWN and answered_at is None and not unplaced:
                continue
            found.append(
                PastReferral(
                    person=part_of or id_,
                    sender=sender,
                    need_group=need_group(stored["needs"][0]),
                    country=country_of(stored["region"]),
                    opt_in_kinds=frozenset(stored["consent"]["opt_in_kinds"]),
                    answered_after=None
                    if answered_at is None
                    else moment_of(answered_at) - moment_of(submitted_at),
                    found_nobody=bool(unplaced),
                )
            )
        return found
