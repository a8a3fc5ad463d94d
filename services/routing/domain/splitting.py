"""Splitting: a referral whose needs no one organisation covers continues in parts.

Each part is a referral of its own with some of the needs, the same consent, and the case of the referral that
was split. That one keeps no offer: it ends when its parts have ended (`split_ends.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial

from contracts.codes import ReferralStatus
from contracts.errors import Refused
from contracts.facts import Fact, PartOpened, ReferralSplit
from contracts.referral import ReferralFacts
from services.routing.domain.consequences import asked_before, declined_as_full, declined_for_person
from services.routing.domain.decision import Trigger
from services.routing.domain.observation import Observation
from services.routing.domain.part_of import PartOf
from services.routing.domain.parts import Part
from services.routing.domain.referral import Referral, ReferralEvent, next_status
from services.routing.domain.transition import Transition, TransitionContext

# `open_offers.ask_next`: opens the first offers of a part, or leaves it to the coordinators.
Ask = Callable[[Referral, Trigger, TransitionContext], Transition]


def may_be_split(facts: ReferralFacts) -> bool:
    """Return whether the person allows several organisations to take the needs in parts.

    A referral to a named organisation is for that one alone.
    """
    return facts.consent.several_organizations and facts.to is None and len(set(facts.needs)) > 1


def is_divided(parts: Collection[Part]) -> bool:
    """Return whether the parts are more than one, and somebody could be asked about at least one of them.

    Parts that exist only because of the sender's withdrawn offers do not count: a split is permanent, and
    these offers count for a limited time.
    """
    return (
        len(parts) > 1
        and any(part.organizations for part in parts)
        and not any(part.is_provisional for part in parts)
    )


def could_be_split(referral: Referral) -> bool:
    """Return whether the referral may continue in parts now, if somebody can be asked about one of them.

    One with an open offer or an acceptor waits for that organisation. A part is not split again, nor is a
    referral that has rejoined.
    """
    is_awaited = referral.acceptor is not None or referral.open_offers
    was_split = referral.part is not None or referral.parts
    return not is_awaited and not was_split and may_be_split(referral.facts)


def further_needs(referral: Referral) -> tuple[str, ...]:
    """Return the needs beside the first one whose candidates may place the referral in parts.

    Only an unplaced referral that may be split has any: to another one only the candidates for its first need
    matter.
    """
    if referral.status is not ReferralStatus.unplaced or not could_be_split(referral):
        return ()
    return tuple(dict.fromkeys(referral.facts.needs))[1:]


def parts_now(referral: Referral, context: TransitionContext) -> tuple[Part, ...]:
    """Return the parts that the referral's needs make now; none if it may not be split.

    It is to be split if `is_divided` holds for them. Otherwise one organisation could take all needs, or
    nobody could be asked about any.
    """
    return context.parts(referral) if could_be_split(referral) else ()


def require_not_split(referral: Referral) -> None:
    """Raises Refused `not-in-this-state` for a referral that continues in parts, and names these."""
    if referral.status is ReferralStatus.split:
        parts = ", ".join(referral.part_ids)
        raise Refused("not-in-this-state", f"The referral continues in parts. Act on one of them: {parts}.")


def split(
    referral: Referral,
    parts: tuple[Part, ...],
    context: TransitionContext,
    ask: Ask,
    facts: tuple[Fact, ...] = (),
    observed: Mapping[str, Observation] | None = None,
) -> Transition:
    """Split the referral. The parts and their first offers are the linked transitions.

    facts, observed: of what led to the split, such as the expiry of the last offer.
    """
    asked = tuple(sorted(asked_before(referral)))
    after = replace(
        referral,
        status=next_status(referral.status, ReferralEvent.split),
        parts=len(parts),
        waits_for=frozenset(),
        due_at=None,
        updated_at=context.now,
    )
    fact = ReferralSplit(referral_id=referral.id, sender=referral.sender, parts=after.part_ids)
    begun = [
        replace(
            referral,
            id=id_,
            facts=replace(referral.facts, needs=part.needs),
            status=ReferralStatus.requested,
            offers=(),
            waits_for=frozenset(),
            due_at=None,
            updated_at=context.now,
            part=PartOf(
                referral_id=referral.id,
                position=position,
                count=len(parts),
                asked=asked,
                declined_as_full=declined_as_full(referral),
                whole_needs=referral.facts.needs,
            ),
            left_out=declined_for_person(referral),
        )
        for position, (id_, part) in enumerate(zip(after.part_ids, parts, strict=True), start=1)
    ]
    return Transition(
        referral=after,
        facts=(*facts, fact),
        observed=observed or {},
        linked=tuple(partial(_begin, part, ask, context) for part in begun),
    )


def _begin(part: Referral, ask: Ask, context: TransitionContext) -> Transition:
    assert part.part is not None
    step = ask(part, Trigger.submitted, context)
    opened = PartOpened(
        referral_id=part.id, sender=part.sender, part_of=part.part.referral_id, facts=part.facts
    )
    return replace(step, facts=(opened, *step.facts))
