"""Facets: search keys of entries, read from the event's data on append.

They are stored beside the log and erased with the data; no leaf depends on them. Only the submission of a
referral has facets of the situation, not its offers, so that a search by situation finds each referral once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

# The facets that a search may use. `corridor` is `<origin>-<destination>`, two ISO 3166-1 countries.
SEARCHED: Final = ("actor", "need", "region", "origin", "corridor", "outcome")
# The organisation whose record a full-state event holds. Statistics look up the record by it.
RECORD: Final = "record"
# The referrals in an answer that somebody read. The list of a referral's readers finds them by it.
CONCERNED: Final = "concerned"

# PostgreSQL limits the size of index entries; codes and ids are far shorter.
_LONGEST: Final = 200
_ACTING: Final = ("reader", "by", "requested_by", "approved_by", "endorsed_by")
_SITUATION: Final = ("sex", "age_band", "stage", "urgency")

Facet = tuple[str, str]


def facets_of(type: str, source: str, data: Mapping[str, Any]) -> tuple[Facet, ...]:
    """Return the facets of an event, without duplicates. Total: malformed parts yield no facets.

    actor: the service that published the event, and the person or organisation that acted. need: with its
    group; region: with its country.
    """
    # Every append runs this: members are looked up once, and absent ones cost no more.
    fact = type.removeprefix("kopuro.").rpartition(".")[0]
    found: list[tuple[str, Any]] = [("actor", source)]
    _add_actors(found, fact, data)
    if "outcome" in data:
        found.append(("outcome", data["outcome"]))
    if fact == "referral.submitted" and isinstance(facts := data.get("facts"), Mapping):
        found += _situation(facts)
    if fact == "organization.changed" and isinstance(record := data.get("organization"), Mapping):
        found.append((RECORD, record.get("id")))
    if "referral_ids" in data:
        found += [(CONCERNED, referral_id) for referral_id in _texts(data["referral_ids"])]
    return tuple(
        dict.fromkeys(
            (name, value) for name, value in found if isinstance(value, str) and 0 < len(value) <= _LONGEST
        )
    )


def _add_actors(found: list[tuple[str, Any]], fact: str, data: Mapping[str, Any]) -> None:
    """Add the person or organisation that read or submitted, but not the subject of a decision."""
    # The reader; the members of the staff, or the partner, that changed a record or took part in an approval.
    for member in _ACTING:
        if member in data:
            found.append(("actor", data[member]))
    # The organisation answered a placement; the coordinator is only notified.
    if "coordinator" in data and fact != "placement.answered":
        found.append(("actor", data["coordinator"]))
    if fact == "case.fetched":
        found.append(("actor", data.get("organization")))
    # A coordinator's submission names another organisation: the one to ask, or the one it acts for.
    elif fact.endswith(".submitted") and "coordinator" not in data:
        found.append(("actor", data.get("organization", data.get("sender"))))


def _situation(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for need in _texts(facts.get("needs")):
        yield "need", need
        yield "need", need.partition(".")[0]
    for name in _SITUATION:
        yield name, facts.get(name)
    origin, region = facts.get("origin_country"), facts.get("region")
    yield "origin", origin
    if isinstance(region, str):
        country = region.partition("-")[0]
        yield "region", region
        yield "region", country
        if isinstance(origin, str):
            yield "corridor", f"{origin}-{country}"


def _texts(values: object) -> Iterable[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list | tuple) else []
