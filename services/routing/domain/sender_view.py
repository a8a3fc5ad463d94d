"""A stored decision as the referral's sender may read it: values from others' referrals are coarse.

Readers of the whole get the record unchanged, and the decision is made again from that record. The sender
gets

- the day of an organisation's latest offer, and whether it has been judged often enough to be known;
- whether a service has declined for lack of capacity within the time for which that counts, but not when;
- whether the places are taken, but not by how many referrals and senders;
- a class instead of the load and of the responsiveness, and the score that the shown values give. The order
  stays that of the exact scores.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from services.routing.domain.capacity_rules import CAPACITY_NOT_DECLINED, PLACE_LEFT
from services.routing.domain.failure import UNTIL
from services.routing.domain.scoring import weighted_mean

_HOUR: Final = dt.timedelta(hours=1)
# The evidence of `place_left` that concerns the sender itself and the directory.
_OWN_PLACES: Final = frozenset({"offers", "maximum", "unit", "withdrawn", UNTIL})


def coarse_turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return the turn with the day instead of the time of each latest offer, and `few` or 0 judged offers.

    Without `unknown`, which says whether an organisation has an open offer.
    """
    few = turn["few"]
    organizations = {
        name: {
            **{member: value for member, value in contender.items() if member != "unknown"},
            "last_asked": None if (at := contender["last_asked"]) is None else f"{at[:10]}T00:00:00Z",
            "judged": few if contender["judged"] >= few else 0,
        }
        for name, contender in turn["organizations"].items()
    }
    return {**turn, "organizations": organizations}


def coarse_candidate(candidate: Mapping[str, Any], weights: Mapping[str, float]) -> dict[str, Any]:
    """Return the stored candidate with classes, their score, and the coarse details of its failures."""
    contributions = {name: _coarse_value(name, value) for name, value in candidate["contributions"].items()}
    score = candidate["score"]
    return {
        **candidate,
        "contributions": contributions,
        "score": None if score is None else weighted_mean(contributions, weights),
        "failures": [
            {**failure, "detail": _coarse_detail(failure["rule"], failure["detail"])}
            for failure in candidate["failures"]
        ],
    }


def _coarse_value(name: str, value: float) -> float:
    """Return the middle of the value's class: half of the places free, or less; answers by halves."""
    if name == "load":
        return 0.75 if value >= 0.5 else 0.25
    if name == "responsiveness":
        # An organisation that was never asked keeps one half.
        return round(2 * value) / 2
    return value


def _coarse_detail(rule: str, detail: Mapping[str, Any]) -> Mapping[str, Any]:
    if rule == CAPACITY_NOT_DECLINED:
        return _within(detail)
    if rule == PLACE_LEFT:
        shown = {name: value for name, value in detail.items() if name in _OWN_PLACES}
        # More referrals than places may have been accepted before the maximum was lowered.
        return {**shown, "accepted": detail["maximum"]} if "accepted" in detail else shown
    return detail


def _within(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return the service, and within how many hours before the decision it has declined.

    The hours are those of the policy, so the failed rule already shows them.
    """
    counts_for = dt.datetime.fromisoformat(detail[UNTIL]) - dt.datetime.fromisoformat(detail["declined_at"])
    return {"service": detail["service"], "within_hours": -(-counts_for // _HOUR)}
