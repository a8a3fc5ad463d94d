"""The in-memory directory for matching, indexed by need and region."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from contracts.codes import DisclosureClass, Vetting
from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement, Organization, Service
from contracts.vocabularies import codes, country_of, need_group
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.shortlist import NOTHING_FOUND, Shortlist

# Index prefix: matches any need of a group, for referrals that name the whole group.
_ANY_OF = "any "
_NONE: Final[frozenset[str]] = frozenset()
_Key = tuple[str, str]
# Need and region.
_Search = tuple[str, str]
# The searches whose result is kept: more than the vocabularies have needs and regions. Each service is in as
# many as the needs and regions that it answers: some 40 megabytes in a directory of 50,000 services.
_MOST_FOUND = 16_384
# The answers about agreements that are kept.
_MOST_GRANTED = 4_096


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """The needs, and the regions or countries, that an organisation's services cover."""

    needs: frozenset[str]
    areas: frozenset[str]

    def plus(self, other: Reach) -> Reach:
        """Return a reach that contains both."""
        return Reach(needs=self.needs | other.needs, areas=self.areas | other.areas)


NO_REACH: Final = Reach(needs=frozenset(), areas=frozenset())


class _Entries:
    """The services under one key of the index, in the order of their places."""

    __slots__ = ("places", "services")

    def __init__(self) -> None:
        self.places: list[str] = []
        self.services: list[OfferedService] = []

    def put(self, place: str, offered: OfferedService) -> None:
        """Add a service at a place that has none."""
        at = bisect_left(self.places, place)
        self.places.insert(at, place)
        self.services.insert(at, offered)

    def remove(self, place: str) -> None:
        """Remove the service at a place."""
        at = bisect_left(self.places, place)
        del self.places[at], self.services[at]


class Directory:
    """Organisations, their services and agreements, with indexes. Not safe for concurrent writes."""

    def __init__(self) -> None:
        # The replica's change number that this directory reflects; every decision records it.
        self.version = 0
        # Another object after any change of an organisation's kind or parent.
        self.ancestry = object()
        self._organizations: dict[str, Organization] = {}
        self._vetted: set[str] = set()
        self._barred: set[str] = set()
        self._offered: dict[str, tuple[OfferedService, ...]] = {}
        self._branches: dict[str, set[str]] = {}
        # Keyed by need or group, and region or country.
        self._index: dict[_Key, _Entries] = {}
        # Keyed by code of the index: the organisations with a service that meets it anywhere.
        self._meeting: dict[str, set[str]] = {}
        # The results of searches, and by key of `_index` the searches that read it: a change of the key
        # removes them.
        self._found: dict[_Search, Shortlist] = {}
        self._searches: dict[_Key, set[_Search]] = {}
        self._agreements: dict[str, Agreement] = {}
        self._agreements_of: dict[str, frozenset[str]] = {}
        # The results of `agreements_of`; forgotten when an agreement or an organisation's vetting changes.
        self._granted: dict[tuple[str, str, DisclosureClass, dt.date], frozenset[str]] = {}

    def put_organization(self, organization: Organization, revision: int = 0) -> None:
        """Add an organisation, or replace its record. revision: its number in the directory service."""
        for number, offered in enumerate(self.offered_services_of(organization.id)):
            for code in _index_codes(offered.service):
                self._meeting[code].discard(organization.id)
            for key in _index_keys(offered.service):
                entries = self._index[key]
                entries.remove(_place(organization.id, number))
                if not entries.places:
                    del self._index[key]
                self._forget(key)
        offered_services = tuple(
            OfferedService(organization=organization, service=service, revision=revision)
            for service in organization.services
        )
        previous = self._organizations.get(organization.id)
        if previous is not None and previous.parent is not None:
            self._branches[previous.parent].discard(organization.id)
        if organization.parent is not None:
            self._branches.setdefault(organization.parent, set()).add(organization.id)
        if previous is None or (previous.kind, previous.parent) != (organization.kind, organization.parent):
            self.ancestry = object()
        self._organizations[organization.id] = organization
        if (organization.id in self._vetted) != (organization.vetting is Vetting.vetted):
            self._granted.clear()
        if organization.vetting is Vetting.vetted:
            self._vetted.add(organization.id)
        else:
            self._vetted.discard(organization.id)
        if organization.in_good_standing:
            self._barred.discard(organization.id)
        else:
            self._barred.add(organization.id)
        self._offered[organization.id] = offered_services
        for number, offered in enumerate(offered_services):
            place = _place(organization.id, number)
            for code in _index_codes(offered.service):
                self._meeting.setdefault(code, set()).add(organization.id)
            for key in _index_keys(offered.service):
                self._index.setdefault(key, _Entries()).put(place, offered)
                self._forget(key)

    def _forget(self, key: _Key) -> None:
        """Forget what searches found in these entries of the index."""
        for search in self._searches.pop(key, ()):
            self._found.pop(search, None)

    def put_agreement(self, agreement: Agreement) -> None:
        """Add an agreement, or replace it."""
        self._granted.clear()
        this = frozenset({agreement.id})
        previous = self._agreements.get(agreement.id)
        for party in previous.parties if previous else ():
            self._agreements_of[party] -= this
        self._agreements[agreement.id] = agreement
        for party in agreement.parties:
            named_in = self._agreements_of.get(party)
            self._agreements_of[party] = (named_in or _NONE) | this
            # A shortlist says who is named at all. An organisation stays in it after its last agreement.
            if named_in is None:
                for offered in self.offered_services_of(party):
                    for key in _index_keys(offered.service):
                        self._forget(key)

    def agreement(self, agreement_id: str) -> Agreement | None:
        """Return the agreement, or None if it is unknown."""
        return self._agreements.get(agreement_id)

    def parties_concerned_between(self, earlier: dt.date, later: dt.date) -> frozenset[str]:
        """Return the parties of the agreements that are in force on one of these days only."""
        return frozenset(
            party
            for one in self._agreements.values()
            if _in_force(one, earlier) != _in_force(one, later)
            for party in one.parties
        )

    def organization(self, organization_id: str) -> Organization | None:
        """Return the organisation, or None if it is unknown."""
        return self._organizations.get(organization_id)

    def organizations(self) -> frozenset[str]:
        """Return the ids of all organisations."""
        return frozenset(self._organizations)

    def barred(self) -> frozenset[str]:
        """Return the ids of organisations that are not in good standing: inactive or not vetted."""
        return frozenset(self._barred)

    def in_good_standing(self, organization_id: str) -> bool:
        """Return False for a barred organisation. An unknown organisation counts as in good standing."""
        return organization_id not in self._barred

    def root_of(self, organization_id: str) -> str:
        """Return the id of the organisation above all others that this one is a branch of, or its own."""
        organization = self._organizations.get(organization_id)
        return organization_id if organization is None else [*self.with_parents(organization)][-1].id

    def with_parents(self, organization: Organization) -> Iterator[Organization]:
        """Yield the organisation, then its known parents, nearest first."""
        seen: set[str] = set()
        current: Organization | None = organization
        while current is not None and current.id not in seen:
            yield current
            seen.add(current.id)
            current = self._organizations.get(current.parent) if current.parent else None

    def with_branches(self, organizations: Iterable[str]) -> set[str]:
        """Return the organisations and all their branches, for which rules read the parents' records."""
        found: set[str] = set()
        left = list(organizations)
        while left:
            if (one := left.pop()) not in found:
                found.add(one)
                left += self._branches.get(one, ())
        return found

    def offered_services_of(self, organization_id: str) -> Sequence[OfferedService]:
        """Return every service of an organisation."""
        return self._offered.get(organization_id, ())

    def shortlist_of(self, organization_id: str) -> Shortlist:
        """Return every service of an organisation."""
        services = self._offered.get(organization_id)
        return Shortlist(services) if services else NOTHING_FOUND

    def all_offered_services(self) -> Iterator[OfferedService]:
        """Yield every service of every organisation."""
        for offered_services in self._offered.values():
            yield from offered_services

    def offered_services_for(self, need: str, region: str) -> Sequence[OfferedService]:
        """Return every service that meets the need in the region, ordered by organisation."""
        return self.shortlist_for(need, region).services

    def shortlist_for(self, need: str, region: str) -> Shortlist:
        """Return the same with its columns."""
        search = need, region
        known = self._found.get(search)
        if known is not None:
            return known
        country = country_of(region)
        areas = (region,) if country == region else (region, country)
        keys = [(code, area) for code in _wanted(need) for area in areas]
        if len(self._found) >= _MOST_FOUND:
            self._found.clear()
            self._searches.clear()
        for key in keys:
            self._searches.setdefault(key, set()).add(search)
        services = self._services_under(keys)
        shortlist = self._found[search] = (
            Shortlist(services, self._agreements_of.keys(), search) if services else NOTHING_FOUND
        )
        return shortlist

    def _services_under(self, keys: Iterable[_Key]) -> Sequence[OfferedService]:
        """Return the services under any of these keys of the index, in the order of their places."""
        found = [entries for key in keys if (entries := self._index.get(key)) is not None]
        if len(found) == 1:
            return tuple(found[0].services)
        by_place: dict[str, OfferedService] = {}
        for entries in found:
            by_place.update(zip(entries.places, entries.services, strict=True))
        return tuple([by_place[place] for place in sorted(by_place)])

    def offered_services_within(self, need: str, country: str) -> list[OfferedService]:
        """Return every service that meets the need anywhere in the country, ordered by organisation."""
        wanted = _wanted(need)
        keys = [(code, area) for code, area in self._index if code in wanted and country_of(area) == country]
        return list(self._services_under(keys))

    def reach_of(self, organization_id: str) -> Reach:
        """Return what a referral must need, and where, to have the organisation as a candidate."""
        services = [offered.service for offered in self._offered.get(organization_id, ())]
        stated = {need for service in services for need in service.needs}
        groups = {need_group(need) for need in stated}
        # A service for a whole group covers each need of it; a referral may name the group.
        covered = {code for code in codes("needs") if need_group(code) in stated}
        return Reach(
            needs=frozenset(stated | groups | covered),
            areas=frozenset(area for service in services for area in service.areas),
        )

    def serves_elsewhere(self, need: str) -> int:
        """Count the organisations that meet the need in any region."""
        return len(set().union(*(self._meeting.get(code, ()) for code in _wanted(need))))

    def agreements_of(
        self, sender: str, need: str, disclosure: DisclosureClass, on: dt.date
    ) -> frozenset[str]:
        """Return the ids of agreements in force that allow the sender to disclose such a need to a party."""
        asked = sender, need, disclosure, on
        granted = self._granted.get(asked)
        if granted is not None:
            return granted
        found = self._agreements_of.get(sender, _NONE)
        if sender in self._vetted:
            found |= self._agreements_of.get(EVERY_VETTED_ORGANIZATION, _NONE)
        agreements = (self._agreements[agreement_id] for agreement_id in found)
        granted = frozenset(
            one.id for one in agreements if _in_force(one, on) and _allows(one, need, disclosure)
        )
        if len(self._granted) >= _MOST_GRANTED:
            self._granted.clear()
        self._granted[asked] = granted
        return granted

    @property
    def agreements_by_party(self) -> Mapping[str, frozenset[str]]:
        """The ids of the agreements that name each organisation as a party, in force or not."""
        return self._agreements_of

    def may_disclose(
        self, sender: str, receiver: str, needs: Iterable[str], disclosure: DisclosureClass, on: dt.date
    ) -> bool:
        """Return whether agreements in force let the sender disclose each of the needs to the receiver.

        Unlike `agreements_of` it does not read the standing of either: both count as vetted.
        """
        everyone = self._agreements_of.get(EVERY_VETTED_ORGANIZATION, _NONE)
        named = self._agreements_of.get(sender, _NONE) & self._agreements_of.get(receiver, _NONE)
        agreements = (self._agreements[agreement_id] for agreement_id in named | everyone)
        found = [one for one in agreements if _in_force(one, on)]
        return all(any(_allows(one, need, disclosure) for one in found) for need in needs)

    def needs_without_agreement(self, receiver: str, agreements: Mapping[str, frozenset[str]]) -> list[str]:
        """Return the needs without an agreement to which the receiver is a party. agreements: by need."""
        named = self._agreements_of.get(receiver, _NONE)
        return self.needs_beyond(named, agreements, vetted=receiver in self._vetted)

    def needs_beyond(
        self, named: frozenset[str], agreements: Mapping[str, frozenset[str]], *, vetted: bool
    ) -> list[str]:
        """Return the same for any organisation that these agreements name."""
        everyone = self._agreements_of.get(EVERY_VETTED_ORGANIZATION, _NONE) if vetted else _NONE
        return [
            need
            for need, found in agreements.items()
            if named.isdisjoint(found) and everyone.isdisjoint(found)
        ]


def every_search() -> Iterator[tuple[str, str]]:
    """Yield each need and region of the vocabularies, for which `shortlist_for` keeps what it found."""
    return product(codes("needs"), codes("regions"))


def _place(organization: str, number: int) -> str:
    """Return a key that orders services by organisation, then by their position in its record."""
    return f"{organization}\0{number:06}"


def _wanted(need: str) -> tuple[str, ...]:
    """Return the codes of the index whose services meet the need."""
    group = need_group(need)
    return (_ANY_OF + group,) if need == group else (need, group)


def _index_codes(service: Service) -> set[str]:
    return {*service.needs, *(_ANY_OF + need_group(need) for need in service.needs)}


def _index_keys(service: Service) -> set[_Key]:
    return {(code, area) for code in _index_codes(service) for area in service.areas}


def _in_force(agreement: Agreement, on: dt.date) -> bool:
    until = agreement.effective_until
    return agreement.effective_from <= on and (until is None or on <= until)


def _allows(agreement: Agreement, need: str, disclosure: DisclosureClass) -> bool:
    if disclosure is DisclosureClass.sensitive and agreement.disclosure is not DisclosureClass.sensitive:
        return False
    # Stricter than for services: an agreement about one need does not cover its whole group.
    return not agreement.needs or need in agreement.needs or need_group(need) in agreement.needs
