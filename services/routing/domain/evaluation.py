"""The rules for all candidates of one referral.

`rules.failures` says what holds for one candidate. A decision gets the same for hundreds: rules that read
only what many services have in common (`Trait`) are evaluated once for each trait and for all referrals that
are alike in what these rules read. The rule about agreements is evaluated once for all organisations that the
same agreements name. Rules that cannot fail for this referral or this candidate are not evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final

from contracts.vocabularies import need_group
from services.routing.domain import rules
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.observation import NO_LOAD, NOTHING_OBSERVED, Observation
from services.routing.domain.offered_service import OfferedService, Trait
from services.routing.domain.rules import Failure, Rule
from services.routing.domain.shortlist import Shortlist


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
# Rules that fail for any candidate, but only if something holds for the referral.
_CONDITIONAL: tuple[tuple[Rule, Callable[[Circumstances], object]], ...] = (
    (rules.consent_given, lambda given: not given.facts.consent.given),
    (rules.case_sealed_for, lambda given: given.facts.to),
    (rules.need_met, lambda given: given.is_for_all_needs),
)
_POSITION: Mapping[str, int] = {name: number for number, name in enumerate(rules.RULES)}
_NAMED_NOWHERE: Final[frozenset[str]] = frozenset()
_Failures = tuple[Failure, ...]


class Evaluation:
    """The rules of one referral."""

    def __init__(self, given: Circumstances, *, is_searched: bool) -> None:
        """is_searched: every candidate meets the principal need in the region, by the directory's index."""
        self._given = given
        directory, consent = given.directory, given.facts.consent
        self._named_in = directory.agreements_by_party
        # By the agreements that name an organisation and whether it is vetted: of `agreement_in_force`.
        self._of_named: dict[tuple[frozenset[str], bool], Failure | None] = {}
        reads = tuple([group.reads(given) for group in _GROUPS])
        # By profile: the failures of the rules that read nothing else of a candidate.
        self._of_profiles = _known_failures(None, reads)
        self._of_traits = [
            (_known_failures(group, read), group) for group, read in zip(_GROUPS, reads, strict=True)
        ]
        self._for_all = [rule for rule, may_fail in _CONDITIONAL if may_fail(given)]
        if not is_searched:
            missing = (rules.need_met, rules.area_served)
            self._for_all += [rule for rule in missing if rule not in self._for_all]
        # The rules that fail for these organisations only. Those that are excluded have branches.
        self._for_some: list[tuple[Rule, Iterable[str]]] = [(rules.not_the_sender, (given.sender,))]
        if consent.excluded_organizations:
            excluded = directory.with_branches(consent.excluded_organizations)
            self._for_some.append((rules.not_excluded, excluded))
        if given.asked:
            self._for_some.append((rules.not_asked_before, given.asked))
        if given.declined_for_person:
            self._for_some.append((rules.not_declined_for_person, given.declined_for_person))
        if given.chain is not None:
            self._for_some.append((rules.not_in_chain, given.chain.holders))
        self._is_bounded = given.offers_per_sender.most is not None

    def failures(self, shortlist: Shortlist, observed: Mapping[str, Observation]) -> Sequence[_Failures]:
        """Return what `rules.failures` returns for each service of the shortlist.

        observed: of each organisation; those of which nothing was observed may be missing.
        """
        found = self._of_profiles_and_agreements(shortlist)
        if self._given.sensitive:
            self._add_not_approved(shortlist, found)
        for rule in self._for_all:
            self._add(rule, range(len(found)), shortlist, found)
        for rule, organizations in self._for_some:
            for name in organizations:
                if name in shortlist.first:
                    self._add(rule, shortlist.positions_of(name), shortlist, found)
        for name, seen in observed.items():
            if seen.full_since:
                self._add(rules.capacity_not_declined, shortlist.positions_of(name), shortlist, found)
        self._add(rules.place_left, self._without_room(shortlist, observed), shortlist, found)
        return found

    def _of_profiles_and_agreements(self, shortlist: Shortlist) -> list[_Failures]:
        """Return the failures of the rules that read only the profile and the agreements."""
        services = shortlist.services
        known = map(self._of_profiles.get, shortlist.profiles)
        found = [
            self._of_profile(services[position]) if failures is None else failures
            for position, failures in enumerate(known)
        ]
        if shortlist.is_vetted and self._not_disclosed(_NAMED_NOWHERE, is_vetted=True) is None:
            # Agreements of all vetted organisations suffice: no need to look at their own.
            return found
        # By the profile, which says whether the organisation is vetted.
        with_agreement: dict[Trait, _Failures] = {}
        for position, profile in enumerate(shortlist.profiles):
            failures = with_agreement.get(profile)
            if failures is None:
                failure = self._not_disclosed(_NAMED_NOWHERE, is_vetted=services[position].is_vetted)
                failures = found[position] if failure is None else _with(found[position], failure)
                with_agreement[profile] = failures
            found[position] = failures
        agreements = frozenset().union(*self._given.agreements.values())
        if agreements:
            for name in self._named_in.keys() & shortlist.first.keys():
                if not agreements.isdisjoint(self._named_in[name]):
                    self._disclose(shortlist, name, found)
        return found

    def _disclose(self, shortlist: Shortlist, name: str, found: list[_Failures]) -> None:
        """Replace the failures of an organisation that some of the agreements name."""
        positions = shortlist.positions_of(name)
        is_vetted = shortlist.services[positions[0]].is_vetted
        failure = self._not_disclosed(self._named_in[name], is_vetted=is_vetted)
        for position in positions:
            alone = self._of_profile(shortlist.services[position])
            found[position] = alone if failure is None else _with(alone, failure)

    def _not_disclosed(self, named: frozenset[str], *, is_vetted: bool) -> Failure | None:
        """Return what `agreement_in_force` returns for an organisation that these agreements name."""
        key, given = (named, is_vetted), self._given
        if key in self._of_named:
            return self._of_named[key]
        needs = given.directory.needs_beyond(named, given.agreements, vetted=is_vetted)
        failure = self._of_named[key] = rules.not_disclosed(given, needs) if needs else None
        return failure

    def _of_profile(self, offered: OfferedService) -> _Failures:
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

    def _add(
        self, rule: Rule, positions: Iterable[int], shortlist: Shortlist, found: list[_Failures]
    ) -> None:
        """Add the failures of a rule for the services at these positions."""
        for position in positions:
            if (failure := rule(shortlist.services[position], self._given)) is not None:
                found[position] = _with(found[position], failure)

    def _add_not_approved(self, shortlist: Shortlist, found: list[_Failures]) -> None:
        """Add the failures of `service_approved`."""
        services = shortlist.services
        unapproved: dict[int, list[str]] = {}
        for need in self._given.sensitive:
            approvals = frozenset((need, need_group(need)))
            suffices_elsewhere = need != self._given.principal_need
            for position, offered in enumerate(services):
                if offered.approved.isdisjoint(approvals) and not (
                    suffices_elsewhere and not offered.organization_approved.isdisjoint(approvals)
                ):
                    unapproved.setdefault(position, []).append(need)
        for position, needs in unapproved.items():
            failure = rules.service_not_approved(services[position], needs)
            found[position] = _with(found[position], failure)

    def _without_room(self, shortlist: Shortlist, observed: Mapping[str, Observation]) -> Iterable[int]:
        """Return the positions of the services for which `place_left` may fail."""
        services = shortlist.services
        if self._is_bounded:
            return range(len(services))
        found = []
        for position in shortlist.limited:
            offered = services[position]
            seen = observed.get(offered.organization_id, NOTHING_OBSERVED)
            roomy = seen.services.get(offered.service_id, NO_LOAD).roomy
            if roomy is None or (offered.maximum or 0) < roomy:
                found.append(position)
        return found


# Enough for the referrals of the day, which have few languages, ages and countries.
@lru_cache(maxsize=1_024)
def _known_failures(_group: _Group | None, _read: Hashable) -> dict[Trait, tuple[Failure, ...]]:
    """Return the failures by trait, for all referrals with the same facts. _group: None for a profile."""
    return {}


def _failures(group: Iterable[Rule], offered: OfferedService, given: Circumstances) -> list[Failure]:
    return [failure for rule in group if (failure := rule(offered, given)) is not None]


def _with(found: tuple[Failure, ...], failure: Failure) -> tuple[Failure, ...]:
    """Return the failures with one more, in the order of the rules."""
    position, before = _POSITION[failure.rule], len(found)
    while before and _POSITION[found[before - 1].rule] > position:
        before -= 1
    return (*found[:before], failure, *found[before:])


def _position(failure: Failure) -> int:
    return _POSITION[failure.rule]
