"""The questions that services ask each other over the broker. The answers are JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from contracts.errors import Refused
from contracts.identifiers import OfferId, OrganizationId, ReferralId
from contracts.records import Malformed, plain, read


class Query:
    """Something to ask. `ask` names it on the wire."""

    __slots__ = ()
    ask: ClassVar[str]

    def wire(self) -> dict[str, Any]:
        """The question as JSON values."""
        return {"ask": self.ask, **plain(self)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralQuery(Query):
    """`GET /v1/referrals/{id}`; refused as `not-found` for who is no party. oversight: sees it all."""

    ask = "referral"
    id: ReferralId
    viewer: str
    oversight: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralListQuery(Query):
    """The items of `GET /v1/referrals`, in the order of their ids."""

    ask = "referrals"
    viewer: str
    oversight: bool
    limit: int
    status: str | None = None
    after: ReferralId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferQuery(Query):
    """The parties of an offer: `[referral id, organisation]`, or null where there is no such offer."""

    ask = "offer"
    id: OfferId


@dataclass(frozen=True, kw_only=True, slots=True)
class PartyQuery(Query):
    """Whether an organisation sent the referral or was asked to take it: true or false."""

    ask = "party"
    id: ReferralId
    organization: OrganizationId


_QUESTIONS: Mapping[str, type[Query]] = {
    question.ask: question for question in (ReferralQuery, ReferralListQuery, OfferQuery, PartyQuery)
}


def parse_query(wire: Mapping[str, Any]) -> Query:
    """The question in JSON values. Raises Refused for one that is not known."""
    kind = _QUESTIONS.get(wire.get("ask", ""))
    if kind is None:
        raise Refused("invalid-parameter", "There is no such question.")
    try:
        return read(kind, dict(wire))
    except Malformed as error:
        raise Refused("invalid-parameter", f"The question is malformed: {error}.") from None
