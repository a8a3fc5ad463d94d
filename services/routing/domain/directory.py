"""The directory as matching needs it: in memory, found by need and region in a few look-ups."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from contracts.codes import DisclosureClass, Vetting
from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement, Organization, Service
from contracts.vocabularies import country_of, need_group
from services.routing.domain.offered_service import OfferedService

# A marker in the index: any need of a group, for whoever asks for the whole group.
_ANY_OF = "any "
_NONE: frozenset[str] = frozenset()


class Directory:
    """Organisations and agreements by what they are asked for. Not safe for concurrent change."""

    def __init__(self) -> None:
        # The change of the replica that this directory has taken in: named in every decision.
        self.version = 0
        self._organizations: dict[str, Organization] = {}
        self._vetted: set[str] = set()
        self._barred: set[str] = set()
        self._offered: dict[str, tuple[OfferedService, ...]] = {}
        # (need or group, region or country) -> (organisation, place among its services) -> offered
        self._index: dict[tuple[str, str], dict[tuple[str, int], OfferedService]] = {}
        self._agreements: dict[str, Agreement] = {}
        self._agreements_of: dict[str, frozenset[str]] = {}

    def put_organization(self, organization: Organization) -> None:
        """Takes over an organisation's whole record."""
        for number, offered in enumerate(self.offered_services_of(organization.id)):
            for key in _index_keys(offered.service):
                entries = self._index[key]
                del entries[organization.id, number]
                if not entries:
                    del self._index[key]
        offered_services = tuple(
            OfferedService(organization=organization, service=service) for service in organization.services
        )
        self._organizations[organization.id] = organization
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
            place = (organization.id, number)
            for key in _index_keys(offered.service):
                self._index.setdefault(key, {})[place] = offered

    def put_agreement(self, agreement: Agreement) -> None:
        """Takes over an agreement."""
        this = frozenset({agreement.id})
        previous = self._agreements.get(agreement.id)
        for party in previous.parties if previous else ():
            self._agreements_of[party] -= this
        self._agreements[agreement.id] = agreement
        for party in agreement.parties:
            self._agreements_of[party] = self._agreements_of.get(party, _NONE) | this

    def organization(self, organization_id: str) -> Organization | None:
        """The organisation of that id."""
        return self._organizations.get(organization_id)

    def barred(self) -> frozenset[str]:
        """The organisations that are suspended, have left, are inactive or were never vetted."""
        return frozenset(self._barred)

    def in_good_standing(self, organization_id: str) -> bool:
        """False for the organisations of `barred`. One that is not known here has lost nothing yet."""
        return organization_id not in self._barred

    def with_parents(self, organization: Organization) -> Iterator[Organization]:
        """The organisation, the one it is a branch of, and so on up, as far as they are known."""
        seen: set[str] = set()
        current: Organization | None = organization
        while current is not None and current.id not in seen:
            yield current
            seen.add(current.id)
            current = self._organizations.get(current.parent) if current.parent else None

    def offered_services_of(self, organization_id: str) -> Sequence[OfferedService]:
        """Every service of an organisation."""
        return self._offered.get(organization_id, ())

    def offered_services_for(self, need: str, region: str) -> list[OfferedService]:
        """Every service that meets the need in the region, ordered by organisation."""
        group = need_group(need)
        wanted = (_ANY_OF + group,) if need == group else (need, group)
        found: dict[tuple[str, int], OfferedService] = {}
        for code in wanted:
            for place in {region, country_of(region)}:
                found.update(self._index.get((code, place), {}))
        return [found[place] for place in sorted(found)]

    def serves_elsewhere(self, need: str) -> int:
        """How many organisations meet the need, in whatever region."""
        return sum(
            any(offered.needs.cover(need) for offered in offered_services)
            for offered_services in self._offered.values()
        )

    def agreements_of(
        self, sender: str, need: str, disclosure: DisclosureClass, on: dt.date
    ) -> frozenset[str]:
        """The ids of the agreements in force by which the sender may tell some party of such a need."""
        found = self._agreements_of.get(sender, _NONE)
        if sender in self._vetted:
            found |= self._agreements_of.get(EVERY_VETTED_ORGANIZATION, _NONE)
        agreements = (self._agreements[agreement_id] for agreement_id in found)
        return frozenset(
            one.id for one in agreements if _in_force(one, on) and _allows(one, need, disclosure)
        )

    def is_party(self, receiver: str, agreements: frozenset[str]) -> bool:
        """Whether the receiver is a party to any of the agreements."""
        if not agreements.isdisjoint(self._agreements_of.get(receiver, _NONE)):
            return True
        everyone = self._agreements_of.get(EVERY_VETTED_ORGANIZATION, _NONE)
        return receiver in self._vetted and not agreements.isdisjoint(everyone)


def _index_keys(service: Service) -> set[tuple[str, str]]:
    codes = {*service.needs, *(_ANY_OF + need_group(need) for need in service.needs)}
    return {(code, area) for code in codes for area in service.areas}


def _in_force(agreement: Agreement, on: dt.date) -> bool:
    until = agreement.effective_until
    return agreement.effective_from <= on and (until is None or on <= until)


def _allows(agreement: Agreement, need: str, disclosure: DisclosureClass) -> bool:
    if disclosure is DisclosureClass.sensitive and agreement.disclosure is not DisclosureClass.sensitive:
        return False
    # Stricter than a service: an agreement on one need is none on its whole group.
    return not agreement.needs or need in agreement.needs or need_group(need) in agreement.needs
