"""The entries of a referral that its parties may read: those that `GET /v1/referrals/{id}` shows them.

The sender reads every step of the referral. An organisation that received an offer reads its own steps, but
not who else received one and not what an acceptor reported. Only oversight roles see deliveries.
`domain/readers.py` decides which reads a party sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contracts.facts import CATALOGUE, OfferOpened, ReferralSubmitted
from contracts.topology import ROUTING_KEYS

# The facts that routing consumes. Facts that routing publishes are steps too.
_CONSUMED: Final = frozenset(fact.type for fact in CATALOGUE.values() if fact.routing_key in ROUTING_KEYS)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedStep:
    """The fields of an entry's leaf. actor: the event's source, such as `/kg/routing`."""

    index: int
    type: str
    actor: str
    organization: str | None


def readable_by(organization: str, steps: Sequence[LoggedStep]) -> frozenset[int] | None:
    """Return the indices of the entries that the organisation may read; None if it is no party.

    steps: all entries of one referral. Only the leaves decide, so erasure of content changes nothing.
    """
    shown = [step for step in steps if step.type in _CONSUMED or step.actor.endswith("/routing")]
    if _is_named(organization, ReferralSubmitted.type, shown):
        return frozenset(step.index for step in shown)
    if _is_named(organization, OfferOpened.type, shown):
        return frozenset(step.index for step in shown if step.organization == organization)
    return None


def _is_named(organization: str, type_: str, steps: Sequence[LoggedStep]) -> bool:
    return any(step.type == type_ and step.organization == organization for step in steps)
