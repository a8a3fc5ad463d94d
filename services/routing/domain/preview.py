"""A preview of a referral: what would happen if it were submitted now, without storing anything.

Anybody who may submit may preview as often as they like, so a preview must not become an oracle about the
directory or the person's choices:

* It counts organisations in coarse bands and never names one.
* It depends on no organisation of a kind that needs an opt-in which the consent does not give. For such an
  organisation the answer is the same as if it did not exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from contracts.vocabularies import country_of
from services.routing.domain import rules
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.consent_rules import kind_to_opt_in
from services.routing.domain.experience import Experience
from services.routing.domain.in_turns import InTurns, at_once
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.parts import parts_of
from services.routing.domain.splitting import is_divided, may_be_split

# The most languages, and the most regions, that a preview lists.
MOST_LISTED = 10


class Band(StrEnum):
    """A coarse count of organisations."""

    none = "0"
    few = "1-4"
    some = "5-19"
    many = "20+"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProspectivePart:
    """Needs that one organisation could take together, and how many could."""

    needs: tuple[str, ...]
    candidates: Band


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """The prospects of a submission now.

    candidates: the organisations that could be asked. half_answered_seconds, found_nobody: see `Experience`.
    more_by_language: the further organisations that could be asked if the person also spoke the language.
    more_by_region: those that could be asked in another region of the same country, if the person could go
    there. Both are about the principal need, and list only changes that add somebody, the largest bands
    first. only_by_kind: for each kind that the consent opts in to, the organisations that could not be asked
    without that opt-in, about the principal need or about a part. parts: the fewest
    groups of needs that one organisation each could take (`parts.py`); none for a single need. would_split:
    whether routing would split the referral into them.
    """

    candidates: Band
    half_answered_seconds: int | None
    found_nobody: float | None
    more_by_language: Mapping[str, Band]
    more_by_region: Mapping[str, Band]
    only_by_kind: Mapping[str, Band]
    parts: tuple[ProspectivePart, ...]
    would_split: bool


Services = Sequence[OfferedService]


def preview(given: Circumstances, experience: Experience, in_turns: InTurns = at_once) -> Preview:
    """Return the preview of a referral that has asked nobody yet.

    in_turns: iterates over services and needs; it may let other work run between two of them.
    """
    services = _services(given)
    candidates: set[str] = set()
    by_language: dict[str, set[str]] = defaultdict(set)
    by_kind: dict[str, set[str]] = {kind.value: set() for kind in given.facts.consent.opt_in_kinds}
    for offered in in_turns(services):
        failed = [failure.rule for failure in rules.failures(offered, given)]
        organization = offered.organization
        if not failed:
            candidates.add(organization.id)
        elif failed == ["language_shared"]:
            for language in offered.spoken:
                by_language[language].add(organization.id)
    by_region = _by_region(given, services, in_turns)
    parts = parts_of(given, in_turns) if len(given.facts.needs) > 1 else ()
    for name in candidates.union(*(part.organizations for part in parts)):
        found = given.directory.organization(name)
        assert found is not None
        kind = kind_to_opt_in(found, given.directory)
        # Its kind may have changed since the rules were read.
        if kind is not None and kind.value in by_kind:
            by_kind[kind.value].add(name)
    return Preview(
        candidates=band_of(candidates),
        half_answered_seconds=experience.half_answered_seconds,
        found_nobody=experience.found_nobody,
        more_by_language=_more(by_language, candidates),
        more_by_region=_more(by_region, candidates),
        only_by_kind={kind: band_of(found) for kind, found in sorted(by_kind.items())},
        parts=tuple(
            ProspectivePart(needs=part.needs, candidates=band_of(part.organizations)) for part in parts
        ),
        would_split=may_be_split(given.facts) and is_divided(parts),
    )


def band_of(organizations: Collection[str]) -> Band:
    """Return the band of the number of organisations."""
    count = len(organizations)
    if count >= 20:
        return Band.many
    if count >= 5:
        return Band.some
    return Band.few if count else Band.none


def _services(given: Circumstances) -> Services:
    """Return the services that the first decision would consider."""
    if given.facts.to is not None:
        return given.directory.offered_services_of(given.facts.to)
    return given.directory.offered_services_for(given.principal_need, given.facts.region)


def _by_region(given: Circumstances, considered: Services, in_turns: InTurns) -> Mapping[str, set[str]]:
    """Return the organisations that could be asked in each other region of the country.

    A referral to a named organisation stays with it, so only that organisation's services count. Services
    that were considered already serve the person's region: another one would not help them.
    """
    known = {(one.organization.id, one.service.id) for one in considered}
    if given.facts.to is not None:
        services = considered
    else:
        services = [
            one
            for one in given.directory.offered_services_within(
                given.principal_need, country_of(given.facts.region)
            )
            if (one.organization.id, one.service.id) not in known
        ]
    found: dict[str, set[str]] = defaultdict(set)
    for offered in in_turns(services):
        # Only the rule about the area reads the region: one evaluation holds for all of them.
        regions = [area for area in sorted(offered.areas) if _is_elsewhere(area, given)]
        if regions and not offered.areas & given.places:
            there = replace(given, facts=replace(given.facts, region=regions[0]))
            if not rules.failures(offered, there):
                for region in regions:
                    found[region].add(offered.organization.id)
    return found


def _is_elsewhere(area: str, given: Circumstances) -> bool:
    return area not in given.places and country_of(area) == country_of(given.facts.region)


def _more(found: Mapping[str, set[str]], candidates: set[str]) -> Mapping[str, Band]:
    """Return the bands of organisations that are not candidates yet, for at most MOST_LISTED codes.

    Codes of one band are ordered by code: an order by count would say more than the bands.
    """
    order = list(Band)
    bands = {code: band_of(organizations - candidates) for code, organizations in found.items()}
    listed = sorted(
        (code for code, band in bands.items() if band is not Band.none),
        key=lambda code: (-order.index(bands[code]), code),
    )
    return {code: bands[code] for code in listed[:MOST_LISTED]}
