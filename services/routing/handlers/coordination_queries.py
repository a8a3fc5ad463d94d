"""The coordinators' queries: their queues, and which organisations could take a referral now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from contracts.errors import Refused
from contracts.records import plain
from contracts.responses.coordination import Considered, EngagementCounts, NeedsPart, OpenOffer, QueueItem
from runtime.storage.database import Database
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.coordination_queue import (
    QueueFilter,
    QueueKind,
    QueuePosition,
    position_in_queue,
    queue_item,
)
from services.routing.domain.decision import Decision
from services.routing.domain.directory import Directory
from services.routing.domain.needs_covered import needs_covered
from services.routing.domain.open_offers import may_be_placed
from services.routing.domain.parts import parts_of
from services.routing.domain.referral import Referral, require_open
from services.routing.domain.splitting import require_not_split
from services.routing.domain.view import decision_view
from services.routing.handlers.turns import in_turns
from services.routing.ports import ReferralStore


class CoordinationQueries:
    """Reads only. Every method raises DatabaseUnavailable."""

    def __init__(
        self,
        *,
        database: Database,
        store: ReferralStore,
        directory: Directory,
        consider: Callable[[Referral, dt.datetime, str | None], Decision],
        circumstances: Callable[[Referral, dt.datetime], Circumstances],
    ) -> None:
        """consider: the decision that a search, or one about an organisation, would make at a time.

        circumstances: the inputs of the rules at a time.
        """
        self._database = database
        self._store = store
        self._directory = directory
        self._consider = consider
        self._circumstances = circumstances

    def queue(
        self,
        kind: QueueKind,
        now: dt.datetime,
        wanted: QueueFilter,
        *,
        after: QueuePosition | None,
        limit: int,
    ) -> tuple[list[QueueItem], QueuePosition | None]:
        """Return up to `limit` items of a queue, and the last one's position if more follow."""
        with self._database.read() as transaction:
            found = self._store.coordination_page(
                transaction, kind, now, wanted, after=after, limit=limit + 1
            )
            lacking = self._store.lacking_case(transaction, [one.id for one in found if one.acceptor])
        page = found[:limit]
        last = position_in_queue(page[-1]) if len(found) > limit else None
        items = [
            queue_item(one, kind, now, self._directory, lacks_case=one.id in lacking)
            for one in in_turns(page)
        ]
        return items, last

    def engagements(self, organization: str) -> EngagementCounts:
        """Return how many open referrals an organisation is asked about, has accepted or has sent.

        Zeros for an organisation that is unknown: the directory has the members.
        """
        with self._database.read() as transaction:
            found = self._store.engagements(transaction, organization)
        return EngagementCounts(organization=organization, **found.shown())

    def candidates(self, referral_id: str, organization: str | None, now: dt.datetime) -> Considered:
        """Return each candidate that a search would consider now, with the result of every rule.

        organization: consider this organisation's services instead, even if no search would. Nothing is
        stored. Raises Refused `not-found`, and `not-in-this-state` in three cases: the facts have been
        reduced, so an answer would be about facts that nobody stated; the referral continues in parts; or the
        search is for a referral that has ended, so nobody can be asked about it.
        """
        with self._database.read() as transaction:
            referral = self._store.view(transaction, [referral_id]).get(referral_id)
        if referral is None:
            raise Refused("not-found", "This referral does not exist.")
        if not referral.has_facts:
            raise Refused("not-in-this-state", "The referral has ended, and its facts have been reduced.")
        require_not_split(referral)
        if organization is None:
            require_open(referral)
        is_divisible = organization is None and len(referral.facts.needs) > 1
        parts = parts_of(self._circumstances(referral, now), in_turns) if is_divisible else ()
        considered = decision_view(
            plain(self._consider(referral, now, organization)), self._directory, in_turns=in_turns
        )
        return Considered(
            referral_id=referral_id,
            organization=organization,
            checked_at=now,
            policy_version=considered["policy_version"],
            directory_version=considered["directory_version"],
            candidates=tuple(considered["candidates"]),
            nobody=considered["nobody"],
            parts=tuple(
                NeedsPart(needs=part.needs, organizations=tuple(sorted(part.organizations))) for part in parts
            ),
            open_offers=tuple(
                OpenOffer(organization=offer.organization, deadline=offer.deadline)
                for offer in referral.open_offers
            ),
            acceptor=referral.acceptor,
            may_be_placed=may_be_placed(referral, self._directory.in_good_standing),
            covers=needs_covered(
                [one["organization"] for one in considered["candidates"]],
                referral.facts.needs,
                referral.facts.region,
                self._directory,
                in_turns,
            ),
        )
