"""The open part of a referral: the facts that routing may see. The sealed case holds the person's data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from marshmallow.validate import Equal, Length, OneOf

from contracts.codes import (
    OPT_IN_KINDS,
    AgeBand,
    ConsentMethod,
    OrganizationKind,
    Settlement,
    Sex,
    SpecialCategory,
    Stage,
    Urgency,
)
from contracts.identifiers import (
    Country,
    Language,
    NeedCode,
    OrganizationId,
    Pattern,
    ReferralId,
    Region,
)
from contracts.jose import LONGEST_RESEALED, LONGEST_SEALED
from contracts.moments import PastMoment
from contracts.quick_init import quick_init

# RFC 7516 §7.1: five base64url parts.
_COMPACT = Pattern(
    r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+$",
    error="Must be a JWE in compact serialisation.",
)
# The sealed text that a partner submits.
SealedText = Annotated[str, Length(max=LONGEST_SEALED), _COMPACT]
# The sealed text that the hub releases: it seals the case again, with a longer header.
ResealedText = Annotated[str, Length(max=LONGEST_RESEALED), _COMPACT]


OptInKind = Annotated[
    OrganizationKind,
    OneOf(
        sorted(OPT_IN_KINDS), error=f"Must be a kind that needs an opt-in: {', '.join(sorted(OPT_IN_KINDS))}."
    ),
]


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """The person's consent. Anything not named here is not allowed."""

    given: Annotated[bool, Equal(True, error="A referral requires the person's consent.")]
    given_at: PastMoment
    method: ConsentMethod
    # Kinds that are contacted only on explicit opt-in; other kinds need not be named.
    opt_in_kinds: Annotated[tuple[OptInKind, ...], Length(max=10)] = ()
    excluded_organizations: Annotated[tuple[OrganizationId, ...], Length(max=100)] = ()
    # Countries where the case may be stored; empty means anywhere in the network.
    storage_countries: Annotated[tuple[Country, ...], Length(max=50)] = ()
    # Whether several organisations may each receive the case, so that needs that no one organisation covers
    # can be split.
    several_organizations: bool = False


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """The part of a referral that an offer shows: enough to answer it, nothing that identifies the person."""

    needs: Annotated[tuple[NeedCode, ...], Length(min=1, max=10)]
    urgency: Urgency
    region: Region
    settlement: Settlement
    languages: Annotated[tuple[Language, ...], Length(min=1, max=10)]
    stage: Stage
    origin_country: Country
    age_band: AgeBand
    sex: Sex
    special_categories: Annotated[tuple[SpecialCategory, ...], Length(max=14)] = ()
    # Whether the person is willing to pay; otherwise only free services are candidates.
    accepts_cost: bool = False


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralFacts(Situation):
    """The routing facts: the situation, the named receiver, and the consent that limits the route."""

    consent: Consent
    # The receiving organisation, or None: the network finds one. A named one must still meet the hard rules.
    to: OrganizationId | None = None

    def situation(self) -> Situation:
        """Return the part that an offer shows."""
        return Situation(**{name: getattr(self, name) for name in _SITUATION})


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralSubmission(ReferralFacts):
    """The body of `POST /v1/referrals`: the open facts and the sealed case.

    onward_from: the referral that the sender has accepted and refers onward with this one, None for a
    referral of its own. The consent is that of this referral alone.
    """

    case: SealedText
    onward_from: ReferralId | None = None


_SITUATION = tuple(item.name for item in fields(Situation))
_FACTS = tuple(item.name for item in fields(ReferralFacts))


def facts_of(submission: ReferralSubmission) -> ReferralFacts:
    """Return the submission without its sealed case."""
    return ReferralFacts(**{name: getattr(submission, name) for name in _FACTS})
