"""The conditions of a service that excluded a candidate, as the directory has them.

A stored decision names the conditions that the person does not meet, not whom the service is for. The record
of that revision says it, while the directory still holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.routing.domain.directory import Directory

# The name in `rules.person_eligible` -> the member of a service's eligibility.
MEMBERS: Final[Mapping[str, str]] = {
    "sex": "sexes",
    "age_band": "age_bands",
    "stage": "stages",
    "origin_country": "origin_countries",
    "special_categories": "special_categories",
}


def conditions_of(
    candidate: Mapping[str, Any], unmet: Iterable[str], directory: Directory
) -> dict[str, list[str]] | None:
    """Return whom the candidate's service is for, by the name of each condition that is not met.

    candidate: of a stored decision. None if the directory has another revision of its organisation's record.
    """
    for offered in directory.offered_services_of(candidate["organization"]):
        if offered.service_id == candidate["service"] and offered.revision == candidate.get("revision"):
            bounds = offered.service.eligibility
            return {name: list(getattr(bounds, MEMBERS[name])) for name in unmet if name in MEMBERS}
    return None
