"""A service together with the organisation that offers it, prepared for matching."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.organization import Eligibility, Organization, Service
from contracts.vocabularies import need_group


class Needs:
    """A service that an organisation offers: the needs that it meets."""

    __slots__ = ("_groups", "_offered")

    def __init__(self, offered: Iterable[str]) -> None:
        self._offered = frozenset(offered)
        self._groups = frozenset(need_group(code) for code in self._offered)

    def cover(self, needed: str) -> bool:
        """Whether the set holds the code or its group, or, if the code is a group, any need in it."""
        return needed in self._offered or need_group(needed) in self._offered or needed in self._groups


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedService:
    """A service and the organisation that offers it.

    The derived sets are what each decision compares. They are computed once, when the record changes.
    """

    organization: Organization
    service: Service
    areas: frozenset[str] = field(init=False, repr=False, compare=False)
    languages: frozenset[str] = field(init=False, repr=False, compare=False)
    # The service's own languages and those it has interpreters for.
    spoken: frozenset[str] = field(init=False, repr=False, compare=False)
    needs: Needs = field(init=False, repr=False, compare=False)
    # True when the service has no eligibility conditions.
    is_for_anyone: bool = field(init=False, repr=False, compare=False)
    # The needs that the organisation meets with all its services together.
    organization_needs: Needs = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        service = self.service
        derived = {
            "areas": frozenset(service.areas),
            "languages": frozenset(service.languages),
            "spoken": frozenset((*service.languages, *service.interpretation)),
            "needs": Needs(service.needs),
            "is_for_anyone": service.eligibility == Eligibility(),
            "organization_needs": Needs(code for s in self.organization.services for code in s.needs),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
