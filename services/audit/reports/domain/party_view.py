"""The entries of a referral that its parties may read: those that `GET /v1/referrals/{id}` shows them.

The sender reads every step of the referral. An organisation that received an offer reads its own steps, but
not who else received one, not what an acceptor reported, and not what coordinators submitted. It cannot read
the facts of a referral that has ended. Once its own part has ended, it reads only the names of the steps and
no content: the erasure of the content would reveal that the person withdrew the consent. Only oversight roles
see deliveries.
`domain/readers.py` decides which reads a party sees.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.facts import (
    CATALOGUE,
    AcceptanceRevoked,
    CoordinatorWithdrawalRefused,
    CoordinatorWithdrawalSubmitted,
    InterventionRefused,
    InterventionSubmitted,
    OfferAccepted,
    OfferDeclined,
    OfferExpired,
    OfferOpened,
    OfferRevoked,
    PartOpened,
    PlacementRefused,
    PlacementSubmitted,
    ReferralAcceptorSuspended,
    ReferralCompleted,
    ReferralFailed,
    ReferralHandedBack,
    ReferralSubmitted,
    ReferralWithdrawn,
)
from contracts.topology import ROUTING_KEYS

# The facts that routing consumes. Facts that routing publishes are steps too.
_CONSUMED: Final = frozenset(fact.type for fact in CATALOGUE.values() if fact.routing_key in ROUTING_KEYS)


# After one of these an organisation no longer reads the facts of its offer.
_OFFER_ENDS: Final = frozenset(
    {
        OfferDeclined.type,
        OfferExpired.type,
        OfferRevoked.type,
        AcceptanceRevoked.type,
        ReferralHandedBack.type,
    }
)
# The steps of an organisation that repeat facts of the referral.
_WITH_FACTS: Final = frozenset({OfferOpened.type, ReferralAcceptorSuspended.type})
# They name the offers and organisations for which the referral waits. The sender and the staff read them.
_OF_COORDINATORS: Final = frozenset(
    {
        PlacementSubmitted.type,
        PlacementRefused.type,
        InterventionSubmitted.type,
        InterventionRefused.type,
        CoordinatorWithdrawalSubmitted.type,
        CoordinatorWithdrawalRefused.type,
    }
)
# The first entry of a referral, or of a part of one: it names the sender.
_BEGINNINGS: Final = frozenset({ReferralSubmitted.type, PartOpened.type})
_REFERRAL_ENDS: Final = frozenset({ReferralCompleted.type, ReferralFailed.type, ReferralWithdrawn.type})


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedStep:
    """The fields of an entry's leaf. actor: the event's source, such as `/kg/routing`."""

    index: int
    type: str
    actor: str
    organization: str | None


def readable_by(organization: str, steps: Sequence[LoggedStep]) -> frozenset[int] | None:
    """Return the indices of the entries that the organisation may read; None if it is not a party.

    steps: all entries of one referral. Only the leaves decide, so erasure of content changes nothing.
    """
    shown = [step for step in steps if step.type in _CONSUMED or step.actor.endswith("/routing")]
    if _is_named(organization, _BEGINNINGS, shown):
        return frozenset(step.index for step in shown)
    if _is_named(organization, {OfferOpened.type}, shown):
        own = [step for step in shown if step.organization == organization]
        return frozenset(step.index for step in own if step.type not in _OF_COORDINATORS)
    return None


def withheld_from(organization: str, steps: Sequence[LoggedStep]) -> frozenset[int]:
    """Return the indices of the entries whose facts the organisation may no longer read.

    steps: all entries of one referral, by index. The sender reads the facts, which are its own. Any other
    organisation reads those of its last offer while that is open or accepted and the referral has not ended.
    Once its part has ended, the facts of all entries are withheld from it.
    """
    if _is_named(organization, _BEGINNINGS, steps):
        return frozenset()
    if end_of_part(organization, steps) is not None:
        return frozenset(step.index for step in steps)
    own = [step for step in steps if step.type in _WITH_FACTS and step.organization == organization]
    if any(step.type in _REFERRAL_ENDS for step in steps):
        return frozenset(step.index for step in own)
    last_offer = max((step.index for step in own if step.type == OfferOpened.type), default=0)
    return frozenset(step.index for step in own if step.index < last_offer)


def end_of_part(organization: str, steps: Sequence[LoggedStep]) -> int | None:
    """Return the index of the entry with which the organisation's part in a referral ended.

    None for the sender, for the acceptor, and while an offer is open. An answer in time may follow the
    expiry: then the offer is accepted after all. steps: all entries of one referral, by index.
    """
    if _is_named(organization, _BEGINNINGS, steps):
        return None
    decisive = _OFFER_ENDS | {OfferOpened.type, OfferAccepted.type}
    own = (step for step in reversed(steps) if step.organization == organization and step.type in decisive)
    last = next(own, None)
    return last.index if last is not None and last.type in _OFFER_ENDS else None


def _is_named(organization: str, types: Collection[str], steps: Sequence[LoggedStep]) -> bool:
    return any(step.type in types and step.organization == organization for step in steps)
