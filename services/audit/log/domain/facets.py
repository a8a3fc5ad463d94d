"""By what an entry is found besides its leaf: facets, read from the event's data while it is appended.

They are kept beside the log and erased with the data: no leaf depends on them. A referral's situation is
stated by its submission alone, not again by each offer of it: who searches by it finds referrals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

# What a search may ask for. `corridor` is `<origin>-<destination>`, two ISO 3166-1 countries.
SEARCHED: Final = ("actor", "need", "region", "origin", "corridor", "outcome")
# The organisation whose record a full-state event holds; what the record says is looked up by it.
RECORD: Final = "record"

# An index entry has a bounded size on PostgreSQL; no code or name of ours comes near it.
_LONGEST: Final = 200
_SITUATION: Final = ("sex", "age_band", "stage", "urgency")

Facet = tuple[str, str]


def facets_of(type: str, source: str, data: Mapping[str, Any]) -> tuple[Facet, ...]:
    """The facets of an event, each once. Total: data of any shape has some, malformed parts have none.

    actor: the service that said it, and the person or organisation that did it. need: with its group;
    region: with its country.
    """
    fact = type.removeprefix("kopuro.").rpartition(".")[0]
    found = [("actor", source), *_did(fact, data), ("outcome", data.get("outcome"))]
    facts = data.get("facts")
    if fact == "referral.submitted" and isinstance(facts, Mapping):
        found += _situation(facts)
    if fact == "organization.changed" and isinstance(record := data.get("organization"), Mapping):
        found.append((RECORD, record.get("id")))
    return tuple(
        dict.fromkeys(
            (name, value) for name, value in found if isinstance(value, str) and 0 < len(value) <= _LONGEST
        )
    )


def _did(fact: str, data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Who looked, or spoke: not whom a decision of the network is about."""
    yield "actor", data.get("reader")
    if fact != "placement.answered":  # the organisation answered; the coordinator is told
        yield "actor", data.get("coordinator")
    # A placement names the organisation it asks for; its author is the coordinator.
    if fact.endswith(".submitted") and fact != "placement.submitted":
        yield "actor", data.get("organization", data.get("sender"))


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
