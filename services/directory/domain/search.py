"""Which codes on a service answer a question about a need or a region.

Both lists have two levels. A service that names a group covers all of it; a question about a group is
answered by whatever lies in it.
"""

from __future__ import annotations

from contracts.vocabularies import codes, country_of, need_group


def needs_answering(need: str) -> frozenset[str]:
    """`legal.wage_claim` -> it and `legal`; `legal` -> it and every need of the group."""
    if need == need_group(need):
        return frozenset(code for code in codes("needs") if need_group(code) == need)
    return frozenset({need, need_group(need)})


def areas_answering(region: str) -> frozenset[str]:
    """`RU-MOW` -> it and `RU`; `RU` -> it and every region of the country."""
    if region == country_of(region):
        return frozenset(code for code in codes("regions") if country_of(code) == region)
    return frozenset({region, country_of(region)})
