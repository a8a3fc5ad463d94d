"""How much an agreement must allow before a referral may be shown: the referral's disclosure class."""

from __future__ import annotations

from contracts.codes import DisclosureClass, SpecialCategory
from contracts.referral import Situation
from contracts.vocabularies import need_group

# That a person belongs to one of these may itself harm them in the wrong hands.
SENSITIVE_CATEGORIES = frozenset(
    {
        SpecialCategory.trafficking_victim,
        SpecialCategory.forced_labour,
        SpecialCategory.hiv,
        SpecialCategory.tb,
        SpecialCategory.stigmatised_illness,
        SpecialCategory.minor,
        SpecialCategory.violence_against_women,
    }
)
SENSITIVE_NEEDS = frozenset(
    {
        "protection.trafficking",
        "protection.forced_labour",
        "protection.violence",
        "protection.child_protection",
        "health.hiv",
        "health.tb",
    }
)
# Who asks for a whole group may mean the sensitive need in it.
_SENSITIVE = SENSITIVE_NEEDS | {need_group(need) for need in SENSITIVE_NEEDS}


def disclosure_class(situation: Situation) -> DisclosureClass:
    """The class that an agreement must allow."""
    if SENSITIVE_CATEGORIES & set(situation.special_categories) or _SENSITIVE & set(situation.needs):
        return DisclosureClass.sensitive
    return DisclosureClass.standard
