"""The lowest and highest sensible value of each number of a policy, with the reason.

The types of `RoutingPolicy` allow more: a document that was applied earlier must stay readable. Deadlines and
the values that depend on others are in `policy_document.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from contracts.errors import PointerError
from services.routing.domain.policy import RoutingPolicy

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """The sensible values of one number. value: None if the policy states none.

    below, above: what a value outside would do. practice: whether a hub for practice may go below.
    """

    pointer: str
    value: Callable[[RoutingPolicy], float | None]
    lowest: float
    highest: float
    below: str
    above: str
    practice: bool = True


_FULL: Final = "a service that has just declined would be asked again at once."
_UNBOUNDED: Final = "a sender could fill a mailbox with referrals that it withdraws."
_BOUND_LONG: Final = "a sender that corrects its mistakes would wait for too long."
_FULL_LONG: Final = "one decline would keep the service from everybody for longer than its offers last."

BOUNDS: Final = (
    Bound(
        pointer="/backlog",
        value=lambda policy: policy.backlog,
        lowest=_MINUTE,
        highest=_DAY,
        below="an offer would expire while its answer waits to be read.",
        above="offers would not expire while messages are late.",
    ),
    Bound(
        pointer="/offers_per_sender/least",
        value=lambda policy: policy.offers_per_sender.least,
        lowest=1,
        highest=100,
        below="a sender could ask nobody.",
        above="one sender could take all places before others are asked.",
        practice=False,
    ),
    Bound(
        pointer="/offers_per_sender/most",
        value=lambda policy: policy.offers_per_sender.most,
        lowest=3,
        highest=10_000,
        below="a sender's next persons would wait until the organisation has answered about the first.",
        above="the bound would have no effect; leave it out.",
    ),
    Bound(
        pointer="/offers_per_sender/withdrawn",
        value=lambda policy: policy.offers_per_sender.withdrawn,
        lowest=3,
        highest=1000,
        below="a sender that corrects two referrals could not send the next one.",
        above="the bound would have no effect.",
    ),
    Bound(
        pointer="/offers_per_sender/withdrawn_for/emergency",
        value=lambda policy: policy.offers_per_sender.withdrawn_for.emergency,
        lowest=_MINUTE,
        highest=_HOUR,
        below=_UNBOUNDED,
        above="a person in an emergency would wait because other referrals were corrected.",
    ),
    Bound(
        pointer="/offers_per_sender/withdrawn_for/urgent",
        value=lambda policy: policy.offers_per_sender.withdrawn_for.urgent,
        lowest=_MINUTE,
        highest=12 * _HOUR,
        below=_UNBOUNDED,
        above=_BOUND_LONG,
    ),
    Bound(
        pointer="/offers_per_sender/withdrawn_for/routine",
        value=lambda policy: policy.offers_per_sender.withdrawn_for.routine,
        lowest=_MINUTE,
        highest=12 * _HOUR,
        below=_UNBOUNDED,
        above=_BOUND_LONG,
    ),
    Bound(
        pointer="/emergency_alert",
        value=lambda policy: policy.emergency_alert,
        lowest=_MINUTE,
        highest=12 * _HOUR,
        below="coordinators would be called before anybody could answer.",
        above="coordinators would learn too late of an emergency that nobody answers.",
    ),
    Bound(
        pointer="/full_for/emergency",
        value=lambda policy: policy.full_for.emergency,
        lowest=_MINUTE,
        highest=_DAY,
        below=_FULL,
        above=_FULL_LONG,
    ),
    Bound(
        pointer="/full_for/urgent",
        value=lambda policy: policy.full_for.urgent,
        lowest=_MINUTE,
        highest=14 * _DAY,
        below=_FULL,
        above=_FULL_LONG,
    ),
    Bound(
        pointer="/full_for/routine",
        value=lambda policy: policy.full_for.routine,
        lowest=_MINUTE,
        highest=60 * _DAY,
        below=_FULL,
        above=_FULL_LONG,
    ),
    Bound(
        pointer="/reminders",
        value=lambda policy: policy.reminders,
        lowest=1,
        highest=48,
        below="nobody could be reminded.",
        above="the mailbox would have more reminders than offers.",
        practice=False,
    ),
    Bound(
        pointer="/extension",
        value=lambda policy: policy.extension,
        lowest=1,
        highest=10,
        below="nothing could be extended.",
        above="a silent organisation could keep the person waiting by extensions alone.",
        practice=False,
    ),
    Bound(
        pointer="/fairness/band",
        value=lambda policy: policy.fairness.band,
        lowest=0.0,
        highest=0.3,
        below="no two organisations would count as equal.",
        above="nearness, language and cost would hardly matter.",
        practice=False,
    ),
    Bound(
        pointer="/fairness/few",
        value=lambda policy: policy.fairness.few,
        lowest=0,
        highest=100,
        below="a number of answers cannot be lower.",
        above="an organisation that is asked often would still count as unknown.",
        practice=False,
    ),
)


def out_of_bounds(policy: RoutingPolicy) -> Iterator[PointerError]:
    """Yield each number outside its sensible values, with the bound and the reason."""
    for bound in BOUNDS:
        value = bound.value(policy)
        if value is None:
            continue
        if value > bound.highest:
            yield PointerError(pointer=bound.pointer, detail=f"At most {bound.highest}: {bound.above}")
        elif value < bound.lowest and not (bound.practice and policy.practice):
            way_out = " Set `practice` on a hub where no person waits." if bound.practice else ""
            yield PointerError(
                pointer=bound.pointer, detail=f"At least {bound.lowest}: {bound.below}{way_out}"
            )
