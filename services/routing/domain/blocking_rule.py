"""The rule that left a referral without an organisation, as reports count it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from services.routing.domain.rules import RULES

# No service meets the need in the region, or the receiver that the referral names has none.
NO_SERVICE: Final = "no_service"
# The decision's record was erased, because the person withdrew consent.
ERASED: Final = "erased"
BLOCKING_RULES: Final = (*RULES, NO_SERVICE, ERASED)
_ORDER: Final = {rule: number for number, rule in enumerate(BLOCKING_RULES)}


def blocking_rule(record: Mapping[str, Any]) -> str:
    """Return the rule that excluded most of the candidates that came closest, the first of `RULES` on a tie.

    The closest are those that failed the fewest rules: the network has the least to change there. A referral
    therefore counts under one rule. record: of the decision that found no organisation, as stored.
    """
    if not record:
        return ERASED
    failed: list[list[str]] = [
        [failure["rule"] for failure in candidate["failures"]]
        for candidate in record["candidates"]
        if candidate["failures"]
    ]
    if not failed:
        return NO_SERVICE
    fewest = min(map(len, failed))
    found = Counter(rule for rules in failed if len(rules) == fewest for rule in rules)
    return min(found, key=lambda rule: (-found[rule], _ORDER.get(rule, len(_ORDER)), rule))
