"""The rules for all candidates of one referral.

`rules.failures` says what holds for one candidate. A decision gets the same for hundreds: rules that read
only what many services have in common (`Trait`) are evaluated once for each trait and for all referrals that
are alike in what these rules read. The rule about agreements is evaluated once for all organisations that the
same agreements name. Rules that cannot fail for this referral or this candidate are not evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final

from contracts.vocabularies import need_group
from services.routing.domain import rules
from services.routing.domain.observation import Observation
from services.routing.domain.offered_service import OfferedService, Trait
from services.routing.domain.rules import Circumstances, Failure, Rule


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Group:
    """Rules that read one trait of a candidate, and a few facts of the referral.

    reads: returns everything besides the trait that the rules read.
    """

    trait: Callable[[OfferedService], Trait]
    rules: tuple[Rule, ...]
    reads: Callable[[Circumstances], Hashable]


_GROUPS = (
    _Group(
        trait=attrgetter("standing"),
        rules=(
            rules.organization_active,
            rules.organization_vetted,
            rules.kind_consented,
            rules.can_receive,
            rules.storage_allowed,
        ),
        reads=lambda given: (
            given.facts.consent.opt_in_kinds,
            given.facts.consent.storage_countries,
            given.directory.ancestry,
        ),
    ),
    _Group(
        trait=attrgetter("people"),
        rules=(rules.settlement_served, rules.person_eligible),
        reads=lambda given: (
            given.facts.settlement,
            given.facts.sex,
            given.facts.age_band,
            given.facts.stage,
            given.facts.origin_country,
            given.facts.special_categories,
        ),
    ),
    _Group(
        trait=attrgetter("tongues"),
        rules=(rules.language_shared,),
        reads=lambda given: given.facts.languages,
    ),
    _Group(
        trait=attrgetter("terms"),
        rules=(rules.cost_accepted, rules.capacity_left, rules.open_now),
        reads=lambda given: (given.facts.accepts_cost, given.facts.urgency),
    ),
)
# Rules that fail only if something holds for the referral.
_CONDITIONAL: tuple[tuple[Rule, Callable[[Circumstances], object]], ...] = (
    (rules.consent_given, lambda given: not given.facts.consent.given),
    (rules.case_sealed_for, lambda given: given.facts.to),
    (rules.not_asked_before, lambda given: given.asked),
    (rules.not_in_chain, lambda given: given.chain),
)
_POSITION: Mapping[str, int] = {name: number for number, name in enumerate(rules.RULES)}
_AGREEMENT: Final = rules.agreement_in_force.__name__
# The failures of a profile, and how many of them come before that of the agreement.
_OfProfile = tuple[tuple[Failure, ...], int]


class Evaluation:
    """The rules of one referral."""

    def __init__(self, given: Circumstances, *, is_searched: bool) -> None:
        """is_searched: every candidate meets the principal need in the region, by the directory's index."""
        self._given = given
        self._sender = given.sender
        reads = tuple([group.reads(given) for group in _GROUPS])
        self._of_profiles = _known_profiles(reads)
        self._of_traits = [
            (_known_failures(group, read), group) for group, read in zip(_GROUPS, reads, strict=True)
        ]
        self._named_in = given.directory.agreements_by_party.get
        # By the agreements that name an organisation, None without any: for vetted ones, and for others.
        self._of_agreements: tuple[_OfAgreements, _OfAgreements] = ({}, {})
        self._is_open_to_vetted = not given.directory.needs_beyond(frozenset(), given.agreements, vetted=True)
        self._others = [rule for rule, may_fail in _CONDITIONAL if may_fail(given)]
        if not is_searched:
            self._others += (rules.need_met, rules.area_served)
        # With their branches.
        self._excluded = given.directory.with_branches(given.facts.consent.excluded_organizations)
        self._singled_out = {given.sender, *self._excluded}
        # For each sensitive need, the codes of which a service has one if it is approved for the need.
        self._approvals = [frozenset((need, need_group(need))) for need in given.sensitive]
        self._is_bounded = given.offers_per_sender.most is not None
        self._has_exceptions = bool(self._others) or self._is_bounded

    def failures(self, offered: OfferedService, seen: Observation) -> tuple[Failure, ...]:
        """Return the same as `rules.failures`. seen: what was observed of the organisation."""
        found, before = self._of_profiles.get(offered.profile) or self._evaluated(offered)
        if not (self._is_open_to_vetted and offered.is_vetted):
            lacking = self._without_agreement(offered)
            if lacking:
                found = (*found[:before], *lacking, *found[before:]) if found else lacking
        maximum = offered.maximum
        if (
            self._has_exceptions
            or seen.full_since
            or offered.organization_id in self._singled_out
            or (self._approvals and any(map(offered.approved.isdisjoint, self._approvals)))
            or (maximum is not None and (maximum < 1 or seen.services))
        ):
            alone = self._alone(offered, seen)
            if alone:
                return tuple(sorted((*found, *alone), key=_position))
        return found

    def _alone(self, offered: OfferedService, seen: Observation) -> list[Failure]:
        """Return the failures of the rules that read more than the profile and the agreements."""
        given, service = self._given, offered.service_id
        found = _failures(self._others, offered, given)
        if offered.organization_id == self._sender:
            _add(found, rules.not_the_sender, offered, given)
        if offered.organization_id in self._excluded:
            _add(found, rules.not_excluded, offered, given)
        if self._approvals:
            _add(found, rules.service_approved, offered, given)
        if service in seen.full_since:
            _add(found, rules.capacity_not_declined, offered, given)
        maximum = offered.maximum
        is_limited = maximum is not None and (maximum < 1 or service in seen.services)
        if is_limited or self._is_bounded:
            _add(found, rules.place_left, offered, given)
        return found

    def _evaluated(self, offered: OfferedService) -> _OfProfile:
        """Return, and keep, the failures of the rules that read only the profile."""
        found: list[Failure] = []
        for known, group in self._of_traits:
            trait = group.trait(offered)
            failures = known.get(trait)
            if failures is None:
                failures = known[trait] = tuple(_failures(group.rules, offered, self._given))
            found += failures
        if len(found) > 1:
            found.sort(key=_position)
        before = sum(_position(failure) < _POSITION[_AGREEMENT] for failure in found)
        of_profile = self._of_profiles[offered.profile] = (tuple(found), before)
        return of_profile

    def _without_agreement(self, offered: OfferedService) -> tuple[Failure, ...]:
        """Return the failure of the rule about agreements, if it fails."""
        named = self._named_in(offered.organization_id)
        known = self._of_agreements[not offered.is_vetted]
        failures = known.get(named)
        if failures is None:
            failures = known[named] = tuple(_failures((rules.agreement_in_force,), offered, self._given))
        return failures


_OfAgreements = dict[frozenset[str] | None, tuple[Failure, ...]]


# Enough for the referrals of the day, which have few languages, ages and countries.
@lru_cache(maxsize=1_024)
def _known_failures(_group: _Group, _read: Hashable) -> dict[Trait, tuple[Failure, ...]]:
    """Return the failures by trait, for all referrals with the same facts."""
    return {}


@lru_cache(maxsize=1_024)
def _known_profiles(_reads: Hashable) -> dict[Trait, _OfProfile]:
    """Return the failures by profile, for all referrals with the same facts."""
    return {}


def _failures(group: Iterable[Rule], offered: OfferedService, given: Circumstances) -> list[Failure]:
    return [failure for rule in group if (failure := rule(offered, given)) is not None]


def _add(found: list[Failure], rule: Rule, offered: OfferedService, given: Circumstances) -> None:
    if (failure := rule(offered, given)) is not None:
        found.append(failure)


def _position(failure: Failure) -> int:
    return _POSITION[failure.rule]
