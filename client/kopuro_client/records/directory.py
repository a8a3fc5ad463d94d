"""The directory in a hub's responses."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from kopuro_client.records.keys import Jwk


class Capacity(TypedDict):
    """maximum: units held at once. unit: missing in records of earlier builds, which counted referrals."""

    status: str
    maximum: int | None
    updated_at: str
    unit: NotRequired[str]


class Service(TypedDict):
    """A service. organization: only if the service is not part of an organisation's record.

    further_capacities: in other units; a referral takes one of each unit.
    """

    id: str
    name: str
    needs: list[str]
    areas: list[str]
    settlements: list[str]
    languages: list[str]
    interpretation: list[str]
    eligibility: dict[str, list[str]]
    cost: str
    capacity: Capacity
    always_open: bool
    further_capacities: NotRequired[list[Capacity]]
    organization: NotRequired[str]


class SealingKeyChange(TypedDict):
    """The replacement that gave a record its present key. manner: first, proved or approved.

    previous: the id of the key before; earlier: of keys before that one, with the end of their acceptance.
    """

    at: str
    manner: str
    previous: NotRequired[str | None]
    earlier: NotRequired[list[dict[str, str]]]


class ApprovedService(TypedDict):
    """The network's approval of one service for exactly these sensitive needs."""

    service: str
    needs: list[str]
    by: str
    at: str


class Agreement(TypedDict):
    """What the parties may disclose to each other. parties: ids, or "*": every vetted organisation.

    needs: codes or groups; empty covers every need. effective_until: the last day in force, if any.
    """

    id: str
    title: str
    kind: str
    parties: list[str]
    disclosure: str
    effective_from: str
    effective_until: str | None
    needs: list[str]
    obligations: list[str]
    revision: int


class Suspension(TypedDict):
    """Who suspended an organisation, when and why."""

    by: str
    at: str
    reason: str | None


class Organization(TypedDict):
    """An organisation's record in the directory. Only the directory writes the last three members.

    suspension: for staff, of a suspended organisation; missing from older hubs.
    """

    id: str
    name: str
    description: str
    kind: str
    country: str
    parent: str | None
    active: bool
    vetting: str
    vetted_by: str | None
    vetted_on: str | None
    profile: dict[str, Any]
    languages: list[str]
    sealing_key: Jwk | None
    services: list[Service]
    revision: int
    sealing_key_change: SealingKeyChange | None
    approved_services: list[ApprovedService]
    suspension: NotRequired[Suspension | None]
