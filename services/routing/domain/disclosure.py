"""A referral's disclosure class: what an agreement must allow before the referral may be shown."""

from __future__ import annotations

from collections.abc import Collection

from contracts.codes import DisclosureClass, SpecialCategory
from contracts.vocabularies import need_group

# Membership in one of these categories can itself harm the person if it is disclosed.
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
# A referral that names a whole group may mean the sensitive need in it.
_SENSITIVE = SENSITIVE_NEEDS | {need_group(need) for need in SENSITIVE_NEEDS}


def disclosure_class(needs: Collection[str], categories: Collection[SpecialCategory]) -> DisclosureClass:
    """Return the class that an agreement must allow. categories: the person's special ones."""
    if SENSITIVE_CATEGORIES & set(categories) or _SENSITIVE & set(needs):
        return DisclosureClass.sensitive
    return DisclosureClass.standard
