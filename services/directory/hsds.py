"""Directory records as HSDS 3 objects (Open Referral's Human Services Data Specification)."""

from __future__ import annotations

from typing import Final

from contracts.responses.directory import (
    Location,
    ServiceArea,
    ServiceAtLocation,
    ServiceSummary,
    TaxonomyTerm,
)
from contracts.vocabularies import label, rows
from services.directory.ports import OfferedAt

TAXONOMY: Final = "kopuro-needs"
_LABEL_LANGUAGES: Final = ("en", "ru", "ky", "tg", "uz", "uz-Cyrl", "kk")


def taxonomy_terms() -> list[TaxonomyTerm]:
    """Return every need as a `taxonomy_term`, groups before members. `labels` is an extension."""
    return [
        TaxonomyTerm(
            id=code,
            code=code,
            name=row["en"],
            parent_id=row["parent"] or None,
            taxonomy=TAXONOMY,
            language="en",
            labels={language: row[language] for language in _LABEL_LANGUAGES if row.get(language)},
        )
        for code, row in rows("needs").items()
    ]


def service_at_location(offered: OfferedAt) -> ServiceAtLocation:
    """Return a service in one of its areas as a `service_at_location`.

    Services publish an area instead of an address (many must not be found). The location is therefore the
    region, with its ISO 3166 code as id and the type `virtual`; `service_areas` repeats the code as extent.
    """
    service_id = f"{offered.organization}:{offered.service.id}"
    own_id = f"{service_id}:{offered.area}"
    name = label("regions", offered.area)
    return ServiceAtLocation(
        id=own_id,
        service_id=service_id,
        location_id=offered.area,
        service=ServiceSummary(
            id=service_id,
            organization_id=offered.organization,
            name=offered.service.name,
            status="active",
        ),
        location=Location(id=offered.area, location_type="virtual", name=name),
        service_areas=(
            ServiceArea(
                id=own_id,
                service_at_location_id=own_id,
                name=name,
                extent=offered.area,
                extent_type="text",
            ),
        ),
    )
