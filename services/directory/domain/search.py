"""The codes that match a search for a need or a region.

Both vocabularies have two levels. A service that names a group covers all of it; a search for a group matches
every code in it.
"""

from __future__ import annotations

from contracts.vocabularies import codes, country_of, need_group


def needs_answering(need: str) -> frozenset[str]:
    """Return the matching codes: `legal.wage_claim` and `legal`; for `legal`, the whole group."""
    if need == need_group(need):
        return frozenset(code for code in codes("needs") if need_group(code) == need)
    return frozenset({need, need_group(need)})


def areas_answering(region: str) -> frozenset[str]:
    """Return the matching codes: `RU-MOW` and `RU`; for `RU`, the country and all its regions."""
    if region == country_of(region):
        return frozenset(code for code in codes("regions") if country_of(code) == region)
    return frozenset({region, country_of(region)})
