"""Which entries of a referral's history its parties may read: those that `GET /v1/referrals/{id}` shows them.

The sender reads every step of the referral. An organisation that was asked reads its own steps: not who
else was asked, and not what an acceptor reported. Deliveries and other people's reads are for oversight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contracts.facts import CATALOGUE, OfferOpened, ReferralSubmitted
from contracts.topology import ROUTING_KEYS

# What routing takes in. Whatever it says itself is a step too.
_TAKEN: Final = frozenset(fact.type for fact in CATALOGUE.values() if fact.routing_key in ROUTING_KEYS)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedStep:
    """An entry as its leaf states it. actor: the event's source, such as `/kg/routing`."""

    index: int
    type: str
    actor: str
    organization: str | None


def readable_by(organization: str, steps: Sequence[LoggedStep]) -> frozenset[int] | None:
    """The indices of the entries that the organisation may read; None if it is no party to the referral.

    steps: all entries of one referral. The leaves alone decide, so that erased content changes nothing.
    """
    shown = [step for step in steps if step.type in _TAKEN or step.actor.endswith("/routing")]
    if _is_named(organization, ReferralSubmitted.type, shown):
        return frozenset(step.index for step in shown)
    if _is_named(organization, OfferOpened.type, shown):
        return frozenset(step.index for step in shown if step.organization == organization)
    return None


def _is_named(organization: str, type_: str, steps: Sequence[LoggedStep]) -> bool:
    return any(step.type == type_ and step.organization == organization for step in steps)
