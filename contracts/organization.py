"""Organisations, their services and agreements, modelled on HSDS 3 and extended for this network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from marshmallow import ValidationError
from marshmallow.validate import Length, OneOf, Range

from contracts.codes import (
    AgeBand,
    AgreementKind,
    CapacityStatus,
    DisclosureClass,
    Funding,
    KeyManner,
    OrganizationKind,
    Reporting,
    Settlement,
    Sex,
    SpecialCategory,
    Stage,
    Vetting,
)
from contracts.identifiers import (
    ORGANIZATION_PATTERN,
    Country,
    Language,
    LongText,
    NameText,
    NeedCode,
    OrganizationId,
    Pattern,
    Region,
    ShortText,
    Slug,
)
from contracts.moments import AnyDate, PastDate, PastMoment, PastYear, Within

# How long content sealed to a replaced key is still accepted.
KEY_OVERLAP: Final = dt.timedelta(hours=24)
# Earlier keys beside the previous one that are still accepted. A further one ends the oldest early.
MOST_EARLIER_KEYS: Final = 4
_BASE64URL_32 = Pattern(r"^[A-Za-z0-9_-]{43}$", error="Must be 32 bytes in base64url.")


@dataclass(frozen=True, kw_only=True, slots=True)
class SealingKey:
    """A public X25519 key that cases are sealed to. Source: RFC 8037; kid: RFC 7638 thumbprint."""

    kty: Annotated[str, OneOf(["OKP"])]
    crv: Annotated[str, OneOf(["X25519"])]
    x: Annotated[str, _BASE64URL_32]
    kid: Annotated[str, _BASE64URL_32]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplacedKey:
    """A sealing key that was replaced, and until when what is sealed to it is accepted."""

    kid: Annotated[str, _BASE64URL_32]
    until: Annotated[dt.datetime, Within(dt.date(2000, 1, 1))]


@dataclass(frozen=True, kw_only=True, slots=True)
class SealingKeyChange:
    """When, and by which authority, the record got its present sealing key.

    previous: the id of the key before, whose holder proved itself; None: of no further use. earlier: keys
    before that one which were accepted when it was replaced.
    """

    at: PastMoment
    manner: KeyManner
    previous: Annotated[str, _BASE64URL_32] | None = None
    earlier: Annotated[tuple[ReplacedKey, ...], Length(max=MOST_EARLIER_KEYS)] = ()

    @property
    def replaced(self) -> tuple[ReplacedKey, ...]:
        """Return the keys before the present one, the last first, each until its own end.

        A sender may have read the record just before. A key that was replaced without its holder's proof is
        lost or stolen, and is not accepted.
        """
        if self.previous is None or self.manner is not KeyManner.proved:
            return ()
        return (ReplacedKey(kid=self.previous, until=self.at + KEY_OVERLAP), *self.earlier)

    def paused_until(self, pause: dt.timedelta) -> dt.datetime | None:
        """Return until when nothing is sealed to the present key; None if its holder proved the one before.

        pause: how long the owner has to object to a key that replaced another one without that proof.
        """
        return self.at + pause if self.manner is KeyManner.approved else None

    def accepts(self, kid: str, now: dt.datetime) -> bool:
        """Return whether what is sealed to this key, which was replaced, is accepted."""
        return any(key.kid == kid and now < key.until for key in self.replaced)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovedService:
    """The network's approval of one service for sensitive needs.

    It covers exactly these needs: a service that adds a need later is not approved for it. by: the principal
    that approved.
    """

    service: Slug
    needs: Annotated[tuple[NeedCode, ...], Length(min=1, max=60)]
    by: ShortText
    at: PastMoment


@dataclass(frozen=True, kw_only=True, slots=True)
class Eligibility:
    """The people a service is for. An empty list sets no condition; a person must meet every other list."""

    sexes: Annotated[tuple[Sex, ...], Length(max=10)] = ()
    age_bands: Annotated[tuple[AgeBand, ...], Length(max=20)] = ()
    stages: Annotated[tuple[Stage, ...], Length(max=10)] = ()
    origin_countries: Annotated[tuple[Country, ...], Length(max=250)] = ()
    special_categories: Annotated[tuple[SpecialCategory, ...], Length(max=30)] = ()


# The unit of a capacity that is counted in referrals.
REFERRAL_UNIT = "referral"


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """Capacity for referrals, in one unit (HSDS `service_capacity`).

    maximum: units held at once; None when not counted. unit: such as `bed`; a referral takes one until it
    ends.
    """

    status: CapacityStatus
    updated_at: PastMoment
    maximum: Annotated[int, Range(min=0, max=1_000_000)] | None = None
    unit: Slug = REFERRAL_UNIT


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A service of an organisation. id: a slug, unique within the organisation.

    further_capacities: in other units than `capacity`. A referral takes one of each unit.
    """

    id: Slug
    name: NameText
    needs: Annotated[tuple[NeedCode, ...], Length(min=1, max=60)]
    # ISO 3166-2 regions, or ISO 3166-1 codes of whole countries.
    areas: Annotated[tuple[Region, ...], Length(min=1, max=200)]
    languages: Annotated[tuple[Language, ...], Length(min=1, max=30)]
    cost: Funding
    capacity: Capacity
    settlements: Annotated[tuple[Settlement, ...], Length(max=10)] = (Settlement.urban, Settlement.rural)
    interpretation: Annotated[tuple[Language, ...], Length(max=30)] = ()
    eligibility: Eligibility = field(default_factory=Eligibility)
    always_open: bool = False
    further_capacities: Annotated[tuple[Capacity, ...], Length(max=10)] = ()

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Refuse two capacities in the same unit."""
        units = [data["capacity"].unit]
        for index, further in enumerate(data.get("further_capacities", ())):
            if further.unit in units:
                detail = "Must differ from the units of the service's other capacities."
                raise ValidationError({"further_capacities": {index: {"unit": [detail]}}})
            units.append(further.unit)


Headcount = Annotated[int, Range(min=0, max=1_000_000)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The network's standard monitoring parameters."""

    staff: Headcount = 0
    volunteers: Headcount = 0
    active_since: PastYear | None = None
    office: bool = False
    activities: Annotated[tuple[ShortText, ...], Length(max=50)] = ()
    reporting: Reporting = Reporting.none
    funding: Funding = Funding.free
    code_of_conduct: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Organization:
    """An organisation with its services: one record with one revision number, replaced as a whole."""

    id: OrganizationId
    name: NameText
    kind: OrganizationKind
    country: Country
    vetting: Vetting
    description: LongText = ""
    parent: OrganizationId | None = None
    active: bool = True
    vetted_by: ShortText | None = None
    vetted_on: PastDate | None = None
    profile: Profile = field(default_factory=Profile)
    languages: Annotated[tuple[Language, ...], Length(max=30)] = ()
    sealing_key: SealingKey | None = None
    services: Annotated[tuple[Service, ...], Length(max=200)] = ()
    # The directory writes these; a submitted record may only repeat them.
    sealing_key_change: SealingKeyChange | None = None
    approved_services: Annotated[tuple[ApprovedService, ...], Length(max=200)] = ()

    @property
    def in_good_standing(self) -> bool:
        """Return whether it may send, accept and hold referrals: active and vetted by the network."""
        return self.active and self.vetting is Vetting.vetted

    @property
    def is_excluded(self) -> bool:
        """Return whether it may not use the hub at all: inactive, suspended, or it has left.

        An organisation that has applied is not excluded: it prepares its record and its key.
        """
        return not self.active or self.vetting in (Vetting.suspended, Vetting.left)

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Refuse two services with the same id."""
        ids = [service.id for service in data.get("services", ())]
        for index, service_id in enumerate(ids):
            if service_id in ids[:index]:
                raise ValidationError(
                    {"services": {index: {"id": ["Must be unique within the organisation."]}}}
                )


EVERY_VETTED_ORGANIZATION = "*"

Party = Annotated[
    str,
    Pattern(
        rf"^\*$|{ORGANIZATION_PATTERN}",
        error="Must be an organisation id such as 'kg.osh-legal-aid', or '*'.",
    ),
    Length(max=100),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """The data that the parties may disclose to each other. effective_until: last day in force, or None."""

    id: Slug
    title: NameText
    kind: AgreementKind
    # Organisation ids, or the single entry "*": every vetted organisation of the network.
    parties: Annotated[tuple[Party, ...], Length(min=1, max=1000)]
    disclosure: DisclosureClass
    effective_from: AnyDate
    effective_until: AnyDate | None = None
    # Need codes or groups; empty covers every need.
    needs: Annotated[tuple[NeedCode, ...], Length(max=100)] = ()
    obligations: Annotated[tuple[LongText, ...], Length(max=30)] = ()

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Refuse an agreement that ends before it begins, and '*' beside other parties."""
        until = data.get("effective_until")
        if until is not None and until < data["effective_from"]:
            raise ValidationError({"effective_until": ["Must not be before `effective_from`."]})
        if EVERY_VETTED_ORGANIZATION in data["parties"] and len(data["parties"]) > 1:
            raise ValidationError({"parties": ["'*' must be the only party."]})
