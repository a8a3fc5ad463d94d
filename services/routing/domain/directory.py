"""The directory as matching needs it: in memory, found by need and region in a few look-ups."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.codes import DisclosureClass
from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement, Organization, Service
from contracts.vocabularies import country_of, need_group


@dataclass(frozen=True, kw_only=True, slots=True)
class Offering:
    """A service together with the organisation that gives it."""

    organization: Organization
    service: Service


class Directory:
    """Organisations and agreements by what they are asked for. Not safe for concurrent change."""

    def __init__(self) -> None:
        # The change of the replica that this directory has taken in: named in every decision.
        self.version = 0
        self._organizations: dict[str, Organization] = {}
        self._offerings: dict[str, tuple[Offering, ...]] = {}
        # (need or group, region or country) -> organisations with a service for it there
        self._index: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._agreements: dict[str, Agreement] = {}
        self._agreements_of: dict[str, set[str]] = defaultdict(set)

    def put_organization(self, organization: Organization) -> None:
        """Takes over an organisation's whole record."""
        for place in self._places(organization.id):
            self._index[place].discard(organization.id)
        self._organizations[organization.id] = organization
        self._offerings[organization.id] = tuple(
            Offering(organization=organization, service=service) for service in organization.services
        )
        for place in self._places(organization.id):
            self._index[place].add(organization.id)

    def put_agreement(self, agreement: Agreement) -> None:
        """Takes over an agreement."""
        previous = self._agreements.get(agreement.id)
        for party in previous.parties if previous else ():
            self._agreements_of[party].discard(agreement.id)
        self._agreements[agreement.id] = agreement
        for party in agreement.parties:
            self._agreements_of[party].add(agreement.id)

    def organization(self, organization_id: str) -> Organization | None:
        """The organisation of that id."""
        return self._organizations.get(organization_id)

    def offerings_of(self, organization_id: str) -> Sequence[Offering]:
        """Every service of an organisation."""
        return self._offerings.get(organization_id, ())

    def offerings_for(self, need: str, region: str) -> list[Offering]:
        """Every service of each organisation that meets the need in the region, ordered by id."""
        found: set[str] = set()
        for code in {need, need_group(need)}:
            for place in {region, country_of(region)}:
                found |= self._index.get((code, place), set())
        return [offering for name in sorted(found) for offering in self._offerings[name]]

    def agreement_between(
        self, sender: str, receiver: str, need: str, disclosure: DisclosureClass, on: dt.date
    ) -> Agreement | None:
        """An agreement in force that lets the sender tell the receiver; the first by its id."""
        everyone = self._agreements_of[EVERY_VETTED_ORGANIZATION]
        shared = (self._agreements_of[sender] | everyone) & (self._agreements_of[receiver] | everyone)
        for agreement_id in sorted(shared):
            agreement = self._agreements[agreement_id]
            if _in_force(agreement, on) and _allows(agreement, need, disclosure):
                return agreement
        return None

    def _places(self, organization_id: str) -> Iterable[tuple[str, str]]:
        for offering in self._offerings.get(organization_id, ()):
            for need in offering.service.needs:
                for area in offering.service.areas:
                    yield need, area
                    # whoever asks for a whole group is content with any need of it
                    yield need_group(need), area


def covers(offered: str, needed: str) -> bool:
    """Whether a service for one code meets the need of another: the same, or one is the other's group."""
    return offered == needed or offered == need_group(needed) or needed == need_group(offered)


def _in_force(agreement: Agreement, on: dt.date) -> bool:
    until = agreement.effective_until
    return agreement.effective_from <= on and (until is None or on <= until)


def _allows(agreement: Agreement, need: str, disclosure: DisclosureClass) -> bool:
    if disclosure is DisclosureClass.sensitive and agreement.disclosure is not DisclosureClass.sensitive:
        return False
    return not agreement.needs or any(covers(code, need) for code in agreement.needs)
