"""Routing's queries: referrals, decisions and counts, as each viewer may see them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection

from contracts.errors import Refused
from contracts.facts import CasePaused
from contracts.queries import Role
from contracts.responses.coordination import Pause, UnplacedReferral
from contracts.responses.referrals import ReferralSummary, ReferralView
from runtime.storage.database import Database
from services.routing.domain.directory import Directory
from services.routing.domain.fact_readers import role_in
from services.routing.domain.network_figures import NetworkFigures
from services.routing.domain.referral import Referral
from services.routing.domain.refusals import OF_COORDINATORS, OF_ORGANIZATIONS
from services.routing.domain.view import MOST_STEPS, decision_view, is_party, referral_view, summary
from services.routing.handlers.turns import in_turns
from services.routing.ports import ReferralStore

_REFUSALS: Final = tuple(fact.routing_key for fact in OF_ORGANIZATIONS)
_ACTS: Final = tuple(fact.routing_key for fact in OF_COORDINATORS)


class RoutingQueries:
    """Reads only. Every method raises DatabaseUnavailable."""

    def __init__(self, *, database: Database, store: ReferralStore, directory: Directory) -> None:
        self._database = database
        self._store = store
        self._directory = directory

    def referral(self, referral_id: str, viewer: str, *, oversight: bool) -> ReferralView:
        """Return the viewer's view of a referral. Raises Refused `not-found`, also for another's referral."""
        with self._database.read() as transaction:
            referral = self._visible(transaction, referral_id, viewer, oversight)
            sees_all = oversight or viewer == referral.sender
            timeline = self._store.timeline(
                transaction,
                referral_id,
                organization=None if sees_all else viewer,
                without=_REFUSALS if sees_all else _ACTS,
                except_of=viewer if sees_all and not oversight else None,
                # One more than shown, to know whether there are earlier ones.
                limit=MOST_STEPS + 1,
            )
            onward = self._store.onward_of(transaction, referral_id)
            parts = self._store.view(transaction, referral.part_ids)
        return referral_view(
            referral,
            timeline,
            onward,
            [parts[part_id] for part_id in referral.part_ids],
            viewer=viewer,
            oversight=oversight,
        )

    def referrals(
        self, viewer: str, *, oversight: bool, status: str | None, after: str | None, limit: int
    ) -> list[ReferralSummary]:
        """Return the referrals that the viewer sent or was offered; all referrals for oversight."""
        with self._database.read() as transaction:
            page = self._store.page(
                transaction,
                party=None if oversight else viewer,
                status=status,
                after=after,
                limit=limit,
            )
        return [summary(r, viewer=viewer, whole=oversight or r.sender == viewer) for r in page]

    def offer_parties(self, offer_id: str) -> tuple[str, str] | None:
        """Return the referral id and the organisation of an offer, or None."""
        with self._database.read() as transaction:
            return self._store.offer_parties(transaction, offer_id)

    def is_party(self, referral_id: str, organization: str) -> bool:
        """Return whether the organisation sent the referral or was offered it."""
        with self._database.read() as transaction:
            referral = self._store.view(transaction, [referral_id]).get(referral_id)
        return referral is not None and is_party(referral, organization)

    def roles(self, referral_ids: Collection[str], organization: str) -> dict[str, Role]:
        """Return the organisation's role in each of the referrals that routing has read."""
        with self._database.read() as transaction:
            found = self._store.view(transaction, referral_ids)
        return {id_: role_in(referral, organization) for id_, referral in found.items()}

    def ended(self, referral_ids: Collection[str]) -> list[str]:
        """Return those of the referrals that have ended, of those that routing has read."""
        with self._database.read() as transaction:
            found = self._store.view(transaction, referral_ids)
        return [id_ for id_, referral in found.items() if referral.is_closed]

    def decisions(self, referral_id: str, viewer: str, *, oversight: bool) -> list[dict[str, Any]]:
        """Return all decisions about a referral, for its sender and for oversight. Raises Refused."""
        with self._database.read() as transaction:
            referral = self._visible(transaction, referral_id, viewer, oversight)
            if not oversight and viewer != referral.sender:
                # A candidate must not learn which other organisations were considered, and why they failed.
                raise Refused("forbidden", "Only the sender may read how its referral was routed.")
            stored = self._store.decisions(transaction, referral_id)
        return [
            decision_view(record, self._directory, oversight=oversight, in_turns=in_turns)
            for record in stored
        ]

    def split_links(self, referral_id: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the referral of which this one is a part, or None, and the ids of its own parts."""
        with self._database.read() as transaction:
            referral = self._store.view(transaction, [referral_id]).get(referral_id)
        if referral is None:
            return None, ()
        return None if referral.part is None else referral.part.referral_id, referral.part_ids

    def pause(self, referral_id: str, now: dt.datetime) -> Pause | None:
        """Return the pause in force of the case's release: the acceptor, and the time when it ends."""
        with self._database.read() as transaction:
            referral = self._store.view(transaction, [referral_id]).get(referral_id)
            if referral is None or referral.acceptor is None or referral.is_closed:
                return None
            pauses = self._store.timeline(
                transaction,
                referral_id,
                organization=referral.acceptor,
                fact=CasePaused.routing_key,
                limit=1,
            )
        untils = [dt.datetime.fromisoformat(entry.detail["until"]) for entry in pauses]
        if not untils or untils[-1] <= now:
            return None
        return Pause(organization=referral.acceptor, until=untils[-1])

    def unplaced(self, *, after: str | None, limit: int) -> list[UnplacedReferral]:
        """Return referrals that await placement by a coordinator."""
        with self._database.read() as transaction:
            page = self._store.page(transaction, party=None, status="unplaced", after=after, limit=limit)
        return [
            UnplacedReferral(
                id=referral.id,
                urgency=referral.facts.urgency,
                needs=referral.facts.needs,
                region=referral.facts.region,
                since=referral.updated_at,
                reason="candidates_exhausted" if referral.offers else "no_candidate",
                part_of=None if referral.part is None else referral.part.referral_id,
            )
            for referral in page
        ]

    def figures(self) -> NetworkFigures:
        """Return the state of the network in numbers."""
        with self._database.read() as transaction:
            return self._store.figures(transaction)

    def _visible(self, transaction: Connection, referral_id: str, viewer: str, oversight: bool) -> Referral:
        referral = self._store.view(transaction, [referral_id]).get(referral_id)
        if referral is None or not (oversight or is_party(referral, viewer)):
            raise Refused(
                "not-found",
                "No referral has this id."
                if oversight
                else "No referral with this id was sent by your organisation or offered to it.",
            )
        return referral
