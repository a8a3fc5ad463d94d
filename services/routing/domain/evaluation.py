"""The rules for all candidates of one referral.

`rules.failures` says what holds for one candidate. A decision gets the same for hundreds: rules that read
only what many services have in common (`Trait`) are evaluated once for each trait and for all referrals that
are alike in what these rules read. Rules that cannot fail for this referral or this candidate are not
evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

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
        trait=lambda offered: offered.standing,
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
        trait=lambda offered: offered.people,
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
        trait=lambda offered: offered.tongues,
        rules=(rules.language_shared,),
        reads=lambda given: given.facts.languages,
    ),
    _Group(
        trait=lambda offered: offered.terms,
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


class Evaluation:
    """The rules of one referral."""

    def __init__(self, given: Circumstances, *, is_searched: bool) -> None:
        """is_searched: every candidate meets the principal need in the region, by the directory's index."""
        self._given = given
        self._sender = given.sender
        self._named_in = given.directory.agreements_by_party.get
        self._reads = tuple([group.reads(given) for group in _GROUPS])
        self._of_traits = tuple(map(_known_failures, _GROUPS, self._reads))
        # By the agreements that name an organisation, None if there are none: the failures by profile.
        self._of_profiles: dict[frozenset[str] | None, dict[Trait, tuple[Failure, ...]]] = {}
        self._others = [rule for rule, may_fail in _CONDITIONAL if may_fail(given)]
        if not is_searched:
            self._others += (rules.need_met, rules.area_served)
        # With their branches.
        self._excluded = given.directory.with_branches(given.facts.consent.excluded_organizations)
        # For each sensitive need, the codes of which a service has one if it is approved for the need.
        self._approvals = [frozenset((need, need_group(need))) for need in given.sensitive]
        self._is_bounded = given.offers_per_sender.most is not None
        self._has_exceptions = bool(self._others) or self._is_bounded

    def failures(self, offered: OfferedService, seen: Observation) -> tuple[Failure, ...]:
        """Return the same as `rules.failures`. seen: what was observed of the organisation."""
        organization, maximum = offered.organization.id, offered.capacity.maximum
        try:
            shared = self._of_profiles[self._named_in(organization)][offered.profile]
        except KeyError:
            shared = self._evaluated(offered)
        if (
            self._has_exceptions
            or seen.full_since
            or organization == self._sender
            or organization in self._excluded
            or (self._approvals and any(map(offered.approved.isdisjoint, self._approvals)))
            or (maximum is not None and (maximum < 1 or seen.services))
        ):
            alone = self._alone(offered, seen)
            if alone:
                return tuple(sorted((*shared, *alone), key=_position))
        return shared

    def _alone(self, offered: OfferedService, seen: Observation) -> list[Failure]:
        """Return the failures of the rules that read more than the profile and the agreements."""
        given, service = self._given, offered.service.id
        found = _failures(self._others, offered, given)
        if offered.organization.id == self._sender:
            _add(found, rules.not_the_sender, offered, given)
        if offered.organization.id in self._excluded:
            _add(found, rules.not_excluded, offered, given)
        if self._approvals:
            _add(found, rules.service_approved, offered, given)
        if service in seen.full_since:
            _add(found, rules.capacity_not_declined, offered, given)
        maximum = offered.capacity.maximum
        is_limited = maximum is not None and (maximum < 1 or service in seen.services)
        if is_limited or self._is_bounded:
            _add(found, rules.place_left, offered, given)
        return found

    def _evaluated(self, offered: OfferedService) -> tuple[Failure, ...]:
        """Return, and keep, the failures of the rules that read only the profile and the agreements."""
        found: list[Failure] = []
        _add(found, rules.agreement_in_force, offered, self._given)
        for group, known in zip(_GROUPS, self._of_traits, strict=True):
            trait = group.trait(offered)
            failures = known.get(trait)
            if failures is None:
                failures = known[trait] = tuple(_failures(group.rules, offered, self._given))
            found += failures
        if len(found) > 1:
            found.sort(key=_position)
        named = self._named_in(offered.organization.id)
        if named not in self._of_profiles:
            self._of_profiles[named] = self._named_by(named or frozenset())
        return self._of_profiles[named].setdefault(offered.profile, tuple(found))

    def _named_by(self, agreements: frozenset[str]) -> dict[Trait, tuple[Failure, ...]]:
        """Return what is known of organisations that these agreements name, by profile, which has vetting."""
        given = self._given
        vetted, others = (
            tuple(given.directory.needs_beyond(agreements, given.agreements, vetted=vetted))
            for vetted in (True, False)
        )
        return _known_failures(None, (self._reads, given.disclosure, vetted, others))


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


def _position(failure: Failure) -> int:
    return _POSITION[failure.rule]
