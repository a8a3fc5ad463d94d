"""The rules for all candidates of one referral.

`rules.failures` says what holds for one candidate. A decision gets the same for hundreds: rules that read
only what many services have in common (`Trait`) are evaluated once for each trait, and rules that cannot fail
for this referral or this candidate are not evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.routing.domain import rules
from services.routing.domain.observation import NO_LOAD, Observation
from services.routing.domain.offered_service import OfferedService, Trait
from services.routing.domain.rules import Circumstances, Failure, Rule

_OF_STANDING = (
    rules.organization_active,
    rules.organization_vetted,
    rules.kind_consented,
    rules.can_receive,
    rules.storage_allowed,
)
_OF_PEOPLE = (rules.settlement_served, rules.person_eligible)
_OF_TONGUES = (rules.language_shared,)
_OF_TERMS = (rules.cost_accepted, rules.capacity_left, rules.open_now)
# Rules that fail only if something holds for the referral.
_CONDITIONAL: tuple[tuple[Rule, Callable[[Circumstances], object]], ...] = (
    (rules.consent_given, lambda given: not given.facts.consent.given),
    (rules.not_excluded, lambda given: given.facts.consent.excluded_organizations),
    (rules.case_sealed_for, lambda given: given.facts.to),
    (rules.service_approved, lambda given: given.sensitive),
    (rules.not_asked_before, lambda given: given.asked),
    (rules.not_in_chain, lambda given: given.chain),
)
_POSITION: Mapping[str, int] = {name: number for number, name in enumerate(rules.RULES)}


class Evaluation:
    """The rules of one referral."""

    def __init__(self, given: Circumstances, *, is_searched: bool) -> None:
        """is_searched: every candidate meets the principal need in the region, by the directory's index."""
        self._given = given
        self._of_trait: dict[Trait, Sequence[Failure]] = {}
        self._no_agreement: dict[tuple[str, ...], Failure] = {}
        self._others = [rule for rule, may_fail in _CONDITIONAL if may_fail(given)]
        if not is_searched:
            self._others += (rules.need_met, rules.area_served)
        self._is_bounded = given.offers_per_sender.most is not None

    def failures(self, offered: OfferedService, seen: Observation) -> tuple[Failure, ...]:
        """Return the same as `rules.failures`. seen: what was observed of the organisation."""
        given, organization, known = self._given, offered.organization, self._of_trait
        try:
            found = [
                *known[offered.standing],
                *known[offered.people],
                *known[offered.tongues],
                *known[offered.terms],
            ]
        except KeyError:
            found = [
                *self._evaluated(offered.standing, _OF_STANDING, offered),
                *self._evaluated(offered.people, _OF_PEOPLE, offered),
                *self._evaluated(offered.tongues, _OF_TONGUES, offered),
                *self._evaluated(offered.terms, _OF_TERMS, offered),
            ]
        for rule in self._others:
            _add(found, rule, offered, given)
        needs = given.directory.needs_without_agreement(organization.id, given.agreements)
        if needs:
            found.append(self._without_agreement(tuple(needs), offered))
        if organization.id == given.sender:
            _add(found, rules.not_the_sender, offered, given)
        service = offered.service.id
        if service in seen.full_since:
            _add(found, rules.capacity_not_declined, offered, given)
        maximum = offered.capacity.maximum
        is_limited = maximum is not None and (maximum < 1 or seen.at(service) is not NO_LOAD)
        if is_limited or self._is_bounded:
            _add(found, rules.place_left, offered, given)
        if len(found) > 1:
            found.sort(key=_position)
        return tuple(found)

    def _evaluated(self, trait: Trait, group: Sequence[Rule], offered: OfferedService) -> Sequence[Failure]:
        if trait not in self._of_trait:
            failures = [failure for rule in group if (failure := rule(offered, self._given)) is not None]
            self._of_trait[trait] = failures
        return self._of_trait[trait]

    def _without_agreement(self, needs: tuple[str, ...], offered: OfferedService) -> Failure:
        known = self._no_agreement.get(needs)
        if known is None:
            failure = rules.agreement_in_force(offered, self._given)
            assert failure is not None
            known = self._no_agreement[needs] = failure
        return known


def _add(found: list[Failure], rule: Rule, offered: OfferedService, given: Circumstances) -> None:
    if (failure := rule(offered, given)) is not None:
        found.append(failure)


def _position(failure: Failure) -> int:
    return _POSITION[failure.rule]
