"""The tables of the SQL side of the benchmark of matching, and their rows.

They are designed for this one question, which the designer knew in advance. They have surrogate keys in the
order of the answer, clustered primary keys, and closed vocabularies as bit masks. Derived values (coverage of
an organisation, its opt-in kind, sums of demand) are stored beside their sources.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from benchmarks.matching_network import GeneratedNetwork
from contracts.codes import (
    OPT_IN_KINDS,
    AgeBand,
    DisclosureClass,
    Sex,
    Stage,
)
from contracts.organization import EVERY_VETTED_ORGANIZATION, Organization
from contracts.vocabularies import codes, need_group
from services.routing.domain.capacity import ORDER_OF_CAPACITY, latest_statement
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.places import ORDER_OF_URGENCY

Row = Mapping[str, Any]
# The key of the entry "*" among the parties of an agreement.
EVERYONE: Final = 0

# Keyed by table: its columns, and its primary key.
TABLES: Final[Mapping[str, tuple[str, str]]] = {
    "org": (
        "id INTEGER, name TEXT NOT NULL, revision INT, country TEXT, active INT, receives INT,"
        " vetting TEXT, opt_in TEXT, is_party INT, answered INT, expired INT, returned INT,"
        " answer_seconds DOUBLE PRECISION, last_asked DOUBLE PRECISION",
        "id",
    ),
    "above": ("org INT NOT NULL, above TEXT NOT NULL", "org, above"),
    "service": (
        "id INTEGER, org INT, name TEXT, cost TEXT, affordability DOUBLE PRECISION, status TEXT,"
        " status_order INT, maximum INT, unit TEXT, updated DOUBLE PRECISION, stated DOUBLE PRECISION,"
        " always_open INT, settlements INT, sexes INT, ages INT, stages INT, specials INT, origins INT,"
        " spoken TEXT, accepted INT, pending INT, waiting INT, full_since DOUBLE PRECISION",
        "id",
    ),
    "met": (
        "code TEXT NOT NULL, area TEXT NOT NULL, service INT NOT NULL",
        "code, area, service",
    ),
    "meeting": ("code TEXT NOT NULL, org INT NOT NULL", "code, org"),
    "covered": ("org INT NOT NULL, code TEXT NOT NULL", "org, code"),
    "speaks": ("service INT NOT NULL, lang TEXT NOT NULL, own INT", "service, lang"),
    "origin": ("service INT NOT NULL, country TEXT NOT NULL", "service, country"),
    "approval": ("org INT NOT NULL, code TEXT NOT NULL, service INT NOT NULL", "org, code, service"),
    "demand": (
        "service INT NOT NULL, sender TEXT NOT NULL, urgency INT NOT NULL, offers INT, waiting INT",
        "service, sender, urgency",
    ),
    "agreement": (
        "id INTEGER, sensitive INT, since TEXT, until TEXT, for_all_needs INT",
        "id",
    ),
    "party": ("org INT NOT NULL, agreement INT NOT NULL", "org, agreement"),
    "covers": ("agreement INT NOT NULL, code TEXT NOT NULL", "agreement, code"),
}


def mask(values: Iterable[StrEnum]) -> int:
    """Return a bit for each value of a closed vocabulary; 0 for none."""
    return sum(1 << list(type(value)).index(value) for value in set(values))


def every(vocabulary: type[StrEnum]) -> int:
    """Return the bits of all values."""
    return mask(vocabulary)


def rows_of(network: GeneratedNetwork) -> Mapping[str, list[Row]]:
    """Return the rows of each table. Keys of organisations and services are in the order of the answer."""
    rows: dict[str, list[Row]] = {table: [] for table in TABLES}
    known = {one.id: one for one in network.organizations}
    revisions = {one.id: revision for revision, one in enumerate(network.organizations, 1)}
    parties = {party for one in network.agreements for party in one.parties}
    keys = {name: key for key, name in enumerate(sorted(known), 1)}
    for name, key in keys.items():
        one, seen = known[name], network.observed.get(name, NOTHING_OBSERVED)
        chain = _with_parents(one, known)
        rows["org"].append(
            {
                "id": key,
                "name": name,
                "revision": revisions[name],
                "country": one.country,
                "active": int(one.active),
                "receives": int(one.sealing_key is not None),
                "vetting": one.vetting.value,
                "opt_in": next((above.kind.value for above in chain if above.kind in OPT_IN_KINDS), None),
                "is_party": int(name in parties),
                "answered": seen.answered,
                "expired": seen.expired,
                "returned": seen.returned,
                "answer_seconds": float(seen.answer_seconds),
                "last_asked": in_seconds(seen.last_asked),
            }
        )
        named = {above.id for above in chain} | {above.parent for above in chain if above.parent}
        rows["above"] += [{"org": key, "above": above} for above in sorted(named)]
        _add_services(rows, key, one, seen)
    for number, agreement in enumerate(network.agreements, 1):
        until = agreement.effective_until
        rows["agreement"].append(
            {
                "id": number,
                "sensitive": int(agreement.disclosure is DisclosureClass.sensitive),
                "since": agreement.effective_from.isoformat(),
                "until": until and until.isoformat(),
                "for_all_needs": int(not agreement.needs),
            }
        )
        rows["party"] += [
            {"org": EVERYONE if party == EVERY_VETTED_ORGANIZATION else keys[party], "agreement": number}
            for party in sorted(set(agreement.parties))
        ]
        rows["covers"] += [{"agreement": number, "code": code} for code in sorted(set(agreement.needs))]
    return rows


def _with_parents(one: Organization, known: Mapping[str, Organization]) -> list[Organization]:
    chain = [one]
    while (parent := known.get(chain[-1].parent or "")) is not None and parent not in chain:
        chain.append(parent)
    return chain


def _add_services(
    rows: Mapping[str, list[Row]], org: int, organization: Organization, seen: Observation
) -> None:
    keys: dict[str, int] = {}
    meeting: set[str] = set()
    for service in organization.services:
        offered = OfferedService(organization=organization, service=service)
        keys[service.id] = key = len(rows["service"]) + 1
        load, bounds = seen.at(service.id), service.eligibility
        rows["service"].append(
            {
                "id": key,
                "org": org,
                "name": service.id,
                "cost": service.cost.value,
                "affordability": offered.affordability,
                "status": offered.status.value,
                "status_order": ORDER_OF_CAPACITY[offered.status],
                "maximum": offered.maximum,
                "unit": offered.capacity.unit if service.further_capacities else None,
                "updated": in_seconds(offered.updated_at),
                "stated": in_seconds(latest_statement(service)),
                "always_open": int(service.always_open),
                "settlements": mask(service.settlements),
                "sexes": mask(bounds.sexes) or every(Sex),
                "ages": mask(bounds.age_bands) or every(AgeBand),
                "stages": mask(bounds.stages) or every(Stage),
                "specials": mask(bounds.special_categories),
                "origins": len(bounds.origin_countries),
                "spoken": " ".join(sorted(offered.spoken)),
                "accepted": load.accepted,
                "pending": load.pending,
                "waiting": sum(one.waiting for one in load.demand.values()),
                "full_since": in_seconds(seen.full_since.get(service.id)),
            }
        )
        found = {*service.needs, *(f"any {need_group(need)}" for need in service.needs)}
        meeting |= found
        rows["met"] += [
            {"code": code, "area": area, "service": key}
            for area in sorted(set(service.areas))
            for code in sorted(found)
        ]
        rows["speaks"] += [
            {"service": key, "lang": lang, "own": int(lang in service.languages)}
            for lang in sorted(offered.spoken)
        ]
        rows["origin"] += [
            {"service": key, "country": country} for country in sorted(set(bounds.origin_countries))
        ]
        rows["demand"] += [
            {
                "service": key,
                "sender": sender,
                "urgency": ORDER_OF_URGENCY[urgency],
                "offers": one.offers,
                "waiting": one.waiting,
            }
            for (sender, urgency), one in load.demand.items()
        ]
    rows["meeting"] += [{"code": code, "org": org} for code in sorted(meeting)]
    if organization.services:
        cover = offered.organization_needs.cover
        rows["covered"] += [{"org": org, "code": code} for code in sorted(codes("needs")) if cover(code)]
    rows["approval"] += [
        {"org": org, "code": code, "service": keys[approval.service]}
        for approval in organization.approved_services
        if approval.service in keys
        for code in sorted(set(approval.needs))
    ]


def in_seconds(moment: dt.datetime | None) -> float | None:
    """Return the seconds since 1970, None for None."""
    return None if moment is None else moment.timestamp()
