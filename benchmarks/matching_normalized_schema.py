"""Normalised tables of the SQL side of the benchmark of matching, and their rows.

They are the tables that a routing service would keep for any question. They have a row for each value of a
record's lists, no derived values, and an index for each direction in which the question joins them.
Descriptive columns are left out, and what was observed is counted already, not a row for each offer: both
favour the databases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.matching_network import GeneratedNetwork
from benchmarks.matching_schema import EVERYONE, Row, in_seconds
from contracts.organization import EVERY_VETTED_ORGANIZATION, Organization, Service
from contracts.records import dump
from contracts.vocabularies import codes, need_group, sensitive_needs
from services.routing.domain.observation import NOTHING_OBSERVED, Observation

# Keyed by table: its columns, and its primary key.
TABLES: Final[Mapping[str, tuple[str, str]]] = {
    "need": ("code TEXT NOT NULL, grp TEXT NOT NULL, sensitive INT NOT NULL", "code"),
    "organization": (
        "id INTEGER, name TEXT NOT NULL, revision INT NOT NULL, kind TEXT NOT NULL, country TEXT NOT NULL,"
        " parent INT, active INT NOT NULL, vetting TEXT NOT NULL, sealing_key TEXT",
        "id",
    ),
    "service": (
        "id INTEGER, organization INT NOT NULL, name TEXT NOT NULL, cost TEXT NOT NULL,"
        " always_open INT NOT NULL",
        "id",
    ),
    "service_need": ("service INT NOT NULL, need TEXT NOT NULL", "service, need"),
    "service_area": ("service INT NOT NULL, area TEXT NOT NULL", "service, area"),
    "service_language": (
        "service INT NOT NULL, language TEXT NOT NULL, interpreted INT NOT NULL",
        "service, language, interpreted",
    ),
    "service_settlement": ("service INT NOT NULL, settlement TEXT NOT NULL", "service, settlement"),
    "service_sex": ("service INT NOT NULL, sex TEXT NOT NULL", "service, sex"),
    "service_age_band": ("service INT NOT NULL, age_band TEXT NOT NULL", "service, age_band"),
    "service_stage": ("service INT NOT NULL, stage TEXT NOT NULL", "service, stage"),
    "service_category": ("service INT NOT NULL, category TEXT NOT NULL", "service, category"),
    "service_origin": ("service INT NOT NULL, country TEXT NOT NULL", "service, country"),
    "service_capacity": (
        "service INT NOT NULL, place INT NOT NULL, status TEXT NOT NULL, maximum INT, unit TEXT NOT NULL,"
        " updated DOUBLE PRECISION NOT NULL",
        "service, place",
    ),
    "approval": ("service INT NOT NULL, need TEXT NOT NULL", "service, need"),
    "organization_observation": (
        "organization INTEGER, answered INT NOT NULL, expired INT NOT NULL, returned INT NOT NULL,"
        " answer_seconds DOUBLE PRECISION NOT NULL, last_asked DOUBLE PRECISION",
        "organization",
    ),
    "service_observation": (
        "service INTEGER, accepted INT NOT NULL, full_since DOUBLE PRECISION",
        "service",
    ),
    "service_demand": (
        "service INT NOT NULL, sender TEXT NOT NULL, urgency TEXT NOT NULL, offers INT NOT NULL,"
        " waiting INT NOT NULL",
        "service, sender, urgency",
    ),
    "agreement": ("id INTEGER, disclosure TEXT NOT NULL, since TEXT NOT NULL, until TEXT", "id"),
    "agreement_party": ("agreement INT NOT NULL, organization INT NOT NULL", "agreement, organization"),
    "agreement_need": ("agreement INT NOT NULL, need TEXT NOT NULL", "agreement, need"),
}
# Keyed by table: the columns of each further index.
INDEXES: Final[Mapping[str, Sequence[str]]] = {
    "organization": ("parent",),
    "service": ("organization",),
    "service_need": ("need, service",),
    "service_area": ("area, service",),
    "agreement_party": ("organization, agreement",),
}


def rows_of(network: GeneratedNetwork) -> Mapping[str, list[Row]]:
    """Return the rows of each table. Keys of organisations and services are in the order of the answer."""
    rows: dict[str, list[Row]] = {table: [] for table in TABLES}
    rows["need"] = [
        {"code": code, "grp": need_group(code), "sensitive": int(code in sensitive_needs())}
        for code in sorted(codes("needs"))
    ]
    known = {one.id: (revision, one) for revision, one in enumerate(network.organizations, 1)}
    keys = {name: key for key, name in enumerate(sorted(known), 1)}
    for name, key in keys.items():
        revision, one = known[name]
        rows["organization"].append(
            {
                "id": key,
                "name": name,
                "revision": revision,
                "kind": one.kind.value,
                "country": one.country,
                "parent": None if one.parent is None else keys[one.parent],
                "active": int(one.active),
                "vetting": one.vetting.value,
                "sealing_key": None if one.sealing_key is None else dump(one.sealing_key).decode(),
            }
        )
        if (seen := network.observed.get(name)) is not None:
            rows["organization_observation"].append(
                {
                    "organization": key,
                    "answered": seen.answered,
                    "expired": seen.expired,
                    "returned": seen.returned,
                    "answer_seconds": float(seen.answer_seconds),
                    "last_asked": in_seconds(seen.last_asked),
                }
            )
        _add_services(rows, key, one, seen or NOTHING_OBSERVED)
    for number, agreement in enumerate(network.agreements, 1):
        until = agreement.effective_until
        rows["agreement"].append(
            {
                "id": number,
                "disclosure": agreement.disclosure.value,
                "since": agreement.effective_from.isoformat(),
                "until": until and until.isoformat(),
            }
        )
        parties = {EVERYONE if one == EVERY_VETTED_ORGANIZATION else keys[one] for one in agreement.parties}
        rows["agreement_party"] += [{"agreement": number, "organization": one} for one in sorted(parties)]
        rows["agreement_need"] += [
            {"agreement": number, "need": code} for code in sorted(set(agreement.needs))
        ]
    return rows


def _add_services(
    rows: Mapping[str, list[Row]], organization: int, record: Organization, seen: Observation
) -> None:
    keys: dict[str, int] = {}
    for service in record.services:
        keys[service.id] = key = len(rows["service"]) + 1
        rows["service"].append(
            {
                "id": key,
                "organization": organization,
                "name": service.id,
                "cost": service.cost.value,
                "always_open": int(service.always_open),
            }
        )
        for table, column, value in _listed(service):
            rows[table].append({"service": key, column: value})
        rows["service_language"] += [
            {"service": key, "language": language, "interpreted": interpreted}
            for interpreted, languages in enumerate((service.languages, service.interpretation))
            for language in sorted(set(languages))
        ]
        rows["service_capacity"] += [
            {
                "service": key,
                "place": place,
                "status": one.status.value,
                "maximum": one.maximum,
                "unit": one.unit,
                "updated": in_seconds(one.updated_at),
            }
            for place, one in enumerate((service.capacity, *service.further_capacities))
        ]
        load = seen.services.get(service.id)
        full_since = seen.full_since.get(service.id)
        if load is None and full_since is None:
            continue
        load = seen.at(service.id)
        rows["service_observation"].append(
            {"service": key, "accepted": load.accepted, "full_since": in_seconds(full_since)}
        )
        rows["service_demand"] += [
            {
                "service": key,
                "sender": sender,
                "urgency": urgency.value,
                "offers": one.offers,
                "waiting": one.waiting,
            }
            for (sender, urgency), one in load.demand.items()
        ]
    approved = {
        (keys[one.service], need)
        for one in record.approved_services
        if one.service in keys
        for need in one.needs
    }
    rows["approval"] += [{"service": key, "need": need} for key, need in sorted(approved)]


def _listed(service: Service) -> Iterator[tuple[str, str, Any]]:
    """Yield each value of the service's lists: the table, its column and the value."""
    people = service.eligibility
    for table, column, values in (
        ("service_need", "need", service.needs),
        ("service_area", "area", service.areas),
        ("service_settlement", "settlement", service.settlements),
        ("service_sex", "sex", people.sexes),
        ("service_age_band", "age_band", people.age_bands),
        ("service_stage", "stage", people.stages),
        ("service_category", "category", people.special_categories),
        ("service_origin", "country", people.origin_countries),
    ):
        for value in sorted({str(value) for value in values}):
            yield table, column, value
