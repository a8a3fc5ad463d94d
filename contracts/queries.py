"""The queries that services send each other over the broker. Replies are JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

from contracts.errors import Refused
from contracts.identifiers import OfferId, OrganizationId, ReferralId
from contracts.records import Malformed, plain, read
from contracts.referral import ReferralFacts

# Why an organisation may not state something about a referral: the same from intake and from routing, and the
# same whether nobody has accepted the referral or another organisation has.
NOT_THE_ACCEPTOR: Final = (
    "Only an organisation that has accepted the referral and still holds it may do this."
)


class Query:
    """A request of one service to another. `ask` is its name on the wire."""

    __slots__ = ()
    ask: ClassVar[str]

    def wire(self) -> dict[str, Any]:
        """Return the query as JSON values."""
        return {"ask": self.ask, **plain(self)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralQuery(Query):
    """`GET /v1/referrals/{id}`. Refused as `not-found` unless the viewer is a party or has oversight."""

    ask = "referral"
    id: ReferralId
    viewer: str
    oversight: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralListQuery(Query):
    """The items of `GET /v1/referrals`, ordered by id."""

    ask = "referrals"
    viewer: str
    oversight: bool
    limit: int
    status: str | None = None
    after: ReferralId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferQuery(Query):
    """The parties of an offer: `[referral id, organisation]`, or null for an unknown offer."""

    ask = "offer"
    id: OfferId


@dataclass(frozen=True, kw_only=True, slots=True)
class PartyQuery(Query):
    """Whether an organisation sent the referral or received an offer of it: true or false."""

    ask = "party"
    id: ReferralId
    organization: OrganizationId


class Role(StrEnum):
    """The present role of an organisation in a referral.

    acceptor: also after the end. candidate: it has an open offer, so that its acceptance may be in transit.
    none: it has declined, not answered in time, or lost the referral again, or it was never asked.
    """

    sender = "sender"
    acceptor = "acceptor"
    candidate = "candidate"
    none = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class RolesQuery(Query):
    """The organisation's role in each of the referrals, by id, without those that routing has not read."""

    ask = "roles"
    ids: tuple[ReferralId, ...]
    organization: OrganizationId


MOST_ENDED: Final = 100  # ids of one EndedQuery


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedQuery(Query):
    """Those of the referrals that have ended, without those that routing has not read: a list of ids."""

    ask = "ended"
    ids: tuple[ReferralId, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewQuery(Query):
    """`POST /v1/referrals:preview`. Nobody stores or logs the facts."""

    ask = "preview"
    sender: OrganizationId
    facts: ReferralFacts


_QUERIES: Mapping[str, type[Query]] = {
    query.ask: query
    for query in (
        ReferralQuery,
        ReferralListQuery,
        OfferQuery,
        PartyQuery,
        RolesQuery,
        EndedQuery,
        PreviewQuery,
    )
}


def parse_query(wire: Mapping[str, Any]) -> Query:
    """Return the query in JSON values. Raises Refused when its name is unknown or its shape wrong."""
    kind = _QUERIES.get(wire.get("ask", ""))
    if kind is None:
        raise Refused("invalid-parameter", "The query is unknown.")
    try:
        return read(kind, dict(wire))
    except Malformed as error:
        raise Refused("invalid-parameter", f"The query is malformed: {error}.") from None
