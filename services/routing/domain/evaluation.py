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

from contracts.vocabularies import need_group
from services.routing.domain import rules
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.observation import Observation
from services.routing.domain.offered_service import OfferedService, Trait
from services.routing.domain.rules import Failure, Rule


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
    (rules.need_met, lambda given: given.is_for_all_needs),
    (rules.not_asked_before, lambda given: given.asked),
    (rules.not_declined_for_person, lambda given: given.declined_for_person),
    (rules.not_in_chain, lambda given: given.chain),
)
_POSITION: Mapping[str, int] = {name: number for number, name in enumerate(rules.RULES)}


class Evaluation:
    """The rules of one referral."""

    def __init__(self, given: Circumstances, *, is_searched: bool) -> None:
        """is_searched: every candidate meets the principal need in the region, by the directory's index."""
        self._given = given
        self._sender = given.sender
        reads = tuple([group.reads(given) for group in _GROUPS])
        self._of_profiles = _known_failures(None, reads)
        self._of_traits = [
            (_known_failures(group, read), group) for group, read in zip(_GROUPS, reads, strict=True)
        ]
        self._named_in = given.directory.agreements_by_party.get
        # Organisations that agreements of all vetted ones suffice for need no look at their own.
        self._is_open_to_vetted = not given.directory.needs_beyond(frozenset(), given.agreements, vetted=True)
        # By the agreements that name an organisation, None if there are none: the failures by profile.
        self._of_agreements: dict[frozenset[str] | None, dict[Trait, tuple[Failure, ...]]] = {}
        self._others = [rule for rule, may_fail in _CONDITIONAL if may_fail(given)]
        if not is_searched:
            missing = (rules.need_met, rules.area_served)
            self._others += [rule for rule in missing if rule not in self._others]
        # With their branches.
        self._excluded = given.directory.with_branches(given.facts.consent.excluded_organizations)
        self._singled_out = {given.sender, *self._excluded}
        # Each sensitive need, with the codes of which a service has one if it is approved for the need, and
        # whether the approval of another service of the organisation suffices.
        self._sensitive = [
            (need, frozenset((need, need_group(need))), need != given.principal_need)
            for need in given.sensitive
        ]
        self._is_bounded = given.offers_per_sender.most is not None
        self._has_exceptions = bool(self._others) or self._is_bounded

    def failures(self, offered: OfferedService, seen: Observation) -> tuple[Failure, ...]:
        """Return the same as `rules.failures`. seen: what was observed of the organisation."""
        if self._is_open_to_vetted and offered.is_vetted:
            found = self._of_profiles.get(offered.profile)
            if found is None:
                found = self._of_profile(offered)
        else:
            named = self._named_in(offered.organization_id)
            of_profiles = self._of_agreements.get(named)
            if of_profiles is None:
                of_profiles = self._of_agreements[named] = {}
            found = of_profiles.get(offered.profile)
            if found is None:
                found = of_profiles[offered.profile] = self._with_agreement(offered)
        if self._sensitive and (needs := self._unapproved(offered)):
            found = _with(found, rules.service_not_approved(offered, needs))
        maximum = offered.maximum
        if (
            self._has_exceptions
            or seen.full_since
            or offered.organization_id in self._singled_out
            or (maximum is not None and (maximum < 1 or seen.services))
        ):
            for failure in self._alone(offered, seen):
                found = _with(found, failure)
        return found

    def _unapproved(self, offered: OfferedService) -> list[str]:
        """Return the sensitive needs for which `service_approved` fails."""
        return [
            need
            for need, approvals, suffices_elsewhere in self._sensitive
            if offered.approved.isdisjoint(approvals)
            and not (suffices_elsewhere and not offered.organization_approved.isdisjoint(approvals))
        ]

    def _alone(self, offered: OfferedService, seen: Observation) -> list[Failure]:
        """Return the failures of the rules that read more than the profile and the agreements."""
        given, service = self._given, offered.service_id
        found = _failures(self._others, offered, given)
        if offered.organization_id == self._sender:
            _add(found, rules.not_the_sender, offered, given)
        if offered.organization_id in self._excluded:
            _add(found, rules.not_excluded, offered, given)
        if service in seen.full_since:
            _add(found, rules.capacity_not_declined, offered, given)
        maximum = offered.maximum
        is_limited = maximum is not None and (maximum < 1 or service in seen.services)
        if is_limited or self._is_bounded:
            _add(found, rules.place_left, offered, given)
        return found

    def _of_profile(self, offered: OfferedService) -> tuple[Failure, ...]:
        """Return, and keep, the failures of the rules that read only the profile."""
        if (known := self._of_profiles.get(offered.profile)) is not None:
            return known
        found: list[Failure] = []
        for of_traits, group in self._of_traits:
            trait = group.trait(offered)
            failures = of_traits.get(trait)
            if failures is None:
                failures = of_traits[trait] = tuple(_failures(group.rules, offered, self._given))
            found += failures
        if len(found) > 1:
            found.sort(key=_position)
        failures = self._of_profiles[offered.profile] = tuple(found)
        return failures

    def _with_agreement(self, offered: OfferedService) -> tuple[Failure, ...]:
        """Return the failures of the rules that read only the profile (with vetting) and the agreements."""
        found = self._of_profile(offered)
        failure = rules.agreement_in_force(offered, self._given)
        return found if failure is None else _with(found, failure)


# Enough for the referrals of the day, which have few languages, ages and countries.
@lru_cache(maxsize=1_024)
def _known_failures(_group: _Group | None, _read: Hashable) -> dict[Trait, tuple[Failure, ...]]:
    """Return the failures by trait, for all referrals with the same facts. _group: None for a profile."""
    return {}


def _failures(group: Iterable[Rule], offered: OfferedService, given: Circumstances) -> list[Failure]:
    return [failure for rule in group if (failure := rule(offered, given)) is not None]


def _add(found: list[Failure], rule: Rule, offered: OfferedService, given: Circumstances) -> None:
    if (failure := rule(offered, given)) is not None:
        found.append(failure)


def _with(found: tuple[Failure, ...], failure: Failure) -> tuple[Failure, ...]:
    """Return the failures with one more, in the order of the rules."""
    position, before = _POSITION[failure.rule], len(found)
    while before and _POSITION[found[before - 1].rule] > position:
        before -= 1
    return (*found[:before], failure, *found[before:])


def _position(failure: Failure) -> int:
    return _POSITION[failure.rule]
