"""The rules for all candidates of one referral.

`rules.failures` says what holds for one candidate. A decision gets the same results for hundreds of services.
Rules that read only traits that many services share (`Trait`) are evaluated once for each trait, and for all
referrals with equal values of the facts that these rules read. The rule about agreements is evaluated once
for all organisations that the same agreements name. Rules that cannot fail for this referral or this
candidate are not evaluated. Candidates with the same failures have the same tuple of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Final

from contracts.vocabularies import need_group
from services.routing.domain import (
    capacity_rules,
    consent_rules,
    history_rules,
    organization_rules,
    service_rules,
)
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.failure import Failure, Rule
from services.routing.domain.observation import NO_LOAD, Observation
from services.routing.domain.offered_service import UNNUMBERED, OfferedService, Trait
from services.routing.domain.rules import RULES
from services.routing.domain.shortlist import Shortlist


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Group:
    """Rules that read one trait of a candidate, and a few facts of the referral.

    reads: returns everything besides the trait that the rules read.
    """

    rules: tuple[Rule, ...]
    reads: Callable[[Circumstances], Hashable]


# In the order of `Profile.traits`.
_GROUPS = (
    _Group(
        # The organisation's standing
        rules=(
            organization_rules.organization_active,
            organization_rules.organization_vetted,
            consent_rules.kind_consented,
            organization_rules.can_receive,
            consent_rules.storage_allowed,
        ),
        reads=lambda given: (
            given.facts.consent.opt_in_kinds,
            given.facts.consent.storage_countries,
            given.directory.ancestry,
        ),
    ),
    _Group(
        # The people whom the service is for
        rules=(service_rules.settlement_served, service_rules.person_eligible),
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
        # Its languages
        rules=(service_rules.language_shared,),
        reads=lambda given: given.facts.languages,
    ),
    _Group(
        # Its terms
        rules=(service_rules.cost_accepted, capacity_rules.capacity_left, service_rules.open_now),
        reads=lambda given: (given.facts.accepts_cost, given.facts.urgency),
    ),
)
# Rules that fail for any candidate, but only if something holds for the referral.
_CONDITIONAL: tuple[tuple[Rule, Callable[[Circumstances], object]], ...] = (
    (consent_rules.consent_given, lambda given: not given.facts.consent.given),
    (organization_rules.case_sealed_for, lambda given: given.facts.to),
    (service_rules.need_met, lambda given: given.is_for_all_needs),
)
_POSITION: Mapping[str, int] = {name: number for number, name in enumerate(RULES)}
_NAMED_NOWHERE: Final[frozenset[str]] = frozenset()
_Failures = tuple[Failure, ...]


class _Known:
    """The evaluation of all referrals with the same facts: the failures by profile and by trait.

    by_profile: of the rules of all groups, by the profile's number. by_trait: of each group's rules.
    """

    __slots__ = ("by_profile", "by_trait")

    def __init__(self, reads: Iterable[Hashable]) -> None:
        self.by_profile: list[_Failures | None] = []
        self.by_trait = [_known_of_group(number, read) for number, read in enumerate(reads)]


class Evaluation:
    """The rules of one referral."""

    def __init__(self, given: Circumstances, *, is_searched: bool) -> None:
        """is_searched: every candidate meets the principal need in the region, by the directory's index."""
        self._given = given
        directory, consent = given.directory, given.facts.consent
        self._named_in = directory.agreements_by_party
        # Keyed by the agreements that name an organisation and whether it is vetted: of `agreement_in_force`.
        self._of_named: dict[tuple[frozenset[str], bool], Failure | None] = {}
        self._known = _known_failures(tuple([group.reads(given) for group in _GROUPS]))
        self._for_all = [rule for rule, may_fail in _CONDITIONAL if may_fail(given)]
        if not is_searched:
            missing = (service_rules.need_met, service_rules.area_served)
            self._for_all += [rule for rule in missing if rule not in self._for_all]
        # The rules that fail for these organisations only. Branches of an excluded organisation are excluded
        # too.
        self._for_some: list[tuple[Rule, Iterable[str]]] = [
            (organization_rules.not_the_sender, (given.sender,))
        ]
        if consent.excluded_organizations:
            excluded = directory.with_branches(consent.excluded_organizations)
            self._for_some.append((consent_rules.not_excluded, excluded))
        if given.asked:
            self._for_some.append((history_rules.not_asked_before, given.asked))
        if given.declined_for_person:
            self._for_some.append((history_rules.not_declined_for_person, given.declined_for_person))
        if given.chain is not None:
            self._for_some.append((history_rules.not_in_chain, given.chain.holders))

    def failures(self, shortlist: Shortlist) -> list[_Failures]:
        """Return the failures of each service of the shortlist, except those that `add_observed` adds."""
        found = self._of_profiles(shortlist)
        self._add_not_disclosed(shortlist, found)
        if self._given.sensitive:
            self._add_not_approved(shortlist, found)
        for rule in self._for_all:
            self._add(rule, range(len(found)), shortlist, found)
        for rule, organizations in self._for_some:
            for name in organizations:
                self._add(rule, shortlist.positions_of(name), shortlist, found)
        return found

    def add_observed(
        self,
        shortlist: Shortlist,
        positions: Iterable[int],
        observed: Iterable[Observation],
        found: list[_Failures],
    ) -> None:
        """Add the failures of `capacity_not_declined` and `place_left` for the services at these positions.

        observed: of the organisation of each of them. They read nothing that changes after the decision, so
        they may be added later.
        """
        services, given = shortlist.services, self._given
        is_bounded = given.offers_per_sender.most is not None
        for position, seen in zip(positions, observed, strict=True):
            offered = services[position]
            if (
                seen.full_since
                and (failure := capacity_rules.declined_as_full(offered, given, seen)) is not None
            ):
                found[position] = _with(found[position], failure)
            if seen.withdrawn and (failure := capacity_rules.withdrawn_too_often(given, seen)) is not None:
                found[position] = _with(found[position], failure)
                continue
            if not is_bounded:
                # Nearly always, every sender finds a place within the maximum.
                maximum = offered.maximum
                if maximum is None:
                    continue
                roomy = seen.services.get(offered.service_id, NO_LOAD).roomy
                if roomy is not None and maximum >= roomy:
                    continue
            if (failure := capacity_rules.no_place_left(offered, given, seen)) is not None:
                found[position] = _with(found[position], failure)

    def _of_profiles(self, shortlist: Shortlist) -> list[_Failures]:
        """Return the failures of the rules that read only the profile."""
        known = self._known.by_profile
        if len(known) < shortlist.most_profiles:
            known += [None] * (shortlist.most_profiles - len(known))
        found = list(map(known.__getitem__, shortlist.profiles))
        if None not in found:
            return found  # type: ignore[return-value]
        services = shortlist.services
        return [
            self._of_profile(services[position]) if failures is None else failures
            for position, failures in enumerate(found)
        ]

    def _of_profile(self, offered: OfferedService) -> _Failures:
        """Return the failures of the rules that read only the profile, and keep them by its number."""
        number = offered.profile.number
        if (known := self._known.by_profile[number]) is not None:
            return known
        failed: list[_Failures] = []
        for by_trait, group, trait in zip(self._known.by_trait, _GROUPS, offered.profile.traits, strict=True):
            failures = by_trait.get(trait)
            if failures is None:
                if len(by_trait) >= UNNUMBERED:
                    by_trait.clear()
                failures = by_trait[trait] = tuple(_failures(group.rules, offered, self._given))
            if failures:
                failed.append(failures)
        if len(failed) > 1:
            failures = tuple(sorted(chain.from_iterable(failed), key=_position))
        else:
            failures = failed[0] if failed else ()
        if number != UNNUMBERED:
            self._known.by_profile[number] = failures
        return failures

    def _add_not_disclosed(self, shortlist: Shortlist, found: list[_Failures]) -> None:
        """Add the failures of `agreement_in_force`."""
        before = list(found)
        vetted = self._not_disclosed(_NAMED_NOWHERE, is_vetted=True)
        if vetted is not None:
            found[:] = _with_each(before, vetted)
        if shortlist.unvetted:
            unvetted = self._not_disclosed(_NAMED_NOWHERE, is_vetted=False)
            for position in shortlist.unvetted:
                found[position] = _with(before[position], unvetted)
        # If agreements of all vetted organisations suffice, only the others need agreements of their own.
        left = shortlist.unvetted if vetted is None else shortlist.named
        if not left:
            return
        agreements = frozenset().union(*self._given.agreements.values())
        for position in left:
            named = self._named_in.get(shortlist.organizations[position])
            if named is not None and not agreements.isdisjoint(named):
                failure = self._not_disclosed(named, is_vetted=shortlist.services[position].is_vetted)
                found[position] = _with(before[position], failure)

    def _not_disclosed(self, named: frozenset[str], *, is_vetted: bool) -> Failure | None:
        """Return what `agreement_in_force` returns for an organisation that these agreements name."""
        key, given = (named, is_vetted), self._given
        if key in self._of_named:
            return self._of_named[key]
        needs = given.directory.needs_beyond(named, given.agreements, vetted=is_vetted)
        failure = self._of_named[key] = organization_rules.not_disclosed(given, needs) if needs else None
        return failure

    def _add(
        self, rule: Rule, positions: Iterable[int], shortlist: Shortlist, found: list[_Failures]
    ) -> None:
        """Add the failures of a rule for the services at these positions."""
        services, given = shortlist.services, self._given
        for position in positions:
            if (failure := rule(services[position], given)) is not None:
                found[position] = _with(found[position], failure)

    def _add_not_approved(self, shortlist: Shortlist, found: list[_Failures]) -> None:
        """Add the failures of `service_approved`."""
        services = shortlist.services
        unapproved: dict[int, tuple[str, ...]] = {}
        for need in self._given.sensitive:
            approvals = frozenset((need, need_group(need)))
            is_principal = need == self._given.principal_need
            if is_principal and shortlist.is_approved:
                for position, is_approved in enumerate(shortlist.is_approved):
                    if not is_approved:
                        unapproved[position] = (*unapproved.get(position, ()), need)
                continue
            for position, offered in enumerate(services):
                # Most services fail without a look at the others of their organisation.
                approved = offered.approved if is_principal else offered.organization_approved
                if approved.isdisjoint(approvals) or not (
                    is_principal or service_rules.approved_for_further(offered, need, self._given)
                ):
                    unapproved[position] = (*unapproved.get(position, ()), need)
        # Services of several organisations may have the same id.
        known: dict[tuple[str, tuple[str, ...]], Failure] = {}
        for position, needs in unapproved.items():
            key = services[position].service_id, needs
            if (failure := known.get(key)) is None:
                failure = known[key] = service_rules.service_not_approved(services[position], list(needs))
            found[position] = _with(found[position], failure)


# Enough for the referrals of the day, which have few languages, ages and countries.
@lru_cache(maxsize=256)
def _known_failures(reads: tuple[Hashable, ...]) -> _Known:
    """Return what is known for all referrals with the same facts. reads: of each group."""
    return _Known(reads)


@lru_cache(maxsize=1_024)
def _known_of_group(_number: int, _read: Hashable) -> dict[Trait, _Failures]:
    """Return the failures by trait of one group's rules, for all referrals with the same facts."""
    return {}


def _failures(group: Iterable[Rule], offered: OfferedService, given: Circumstances) -> list[Failure]:
    return [failure for rule in group if (failure := rule(offered, given)) is not None]


def _with(found: _Failures, failure: Failure | None) -> _Failures:
    """Return the failures with one more, in the order of the rules."""
    if failure is None:
        return found
    if not found:
        return (failure,)
    position, before = _POSITION[failure.rule], len(found)
    while before and _POSITION[found[before - 1].rule] > position:
        before -= 1
    return (*found[:before], failure, *found[before:])


def _with_each(found: Sequence[_Failures], failure: Failure) -> Iterator[_Failures]:
    """Yield the same for each of them. Many have the same failures, which are tuples that they share."""
    known: dict[int, _Failures] = {}
    for failures in found:
        key = id(failures)
        if (more := known.get(key)) is None:
            more = known[key] = _with(failures, failure)
        yield more


def _position(failure: Failure) -> int:
    return _POSITION[failure.rule]
