"""The directory as HSDS objects."""

from __future__ import annotations

from services.directory.hsds import service_at_location, taxonomy_terms
from services.directory.ports import OfferedAt
from tests.unit.services.directory.samples import OSH, organization


def test_taxonomy_parent_precedes_its_terms() -> None:
    seen: set[str] = set()
    for term in taxonomy_terms():
        assert term.parent_id is None or term.parent_id in seen
        assert term.id == term.code not in seen
        seen.add(term.id)
    assert "legal.wage_claim" in seen


def test_taxonomy_term_has_labels_in_six_languages() -> None:
    term = next(term for term in taxonomy_terms() if term.code == "legal.wage_claim")
    assert term.parent_id == "legal"
    assert term.name == term.labels["en"] == "Unpaid wages"
    assert set(term.labels) == {"en", "ru", "ky", "tg", "uz", "uz-Cyrl", "kk"}


def test_service_at_location_names_service_organization_and_region() -> None:
    (service,) = organization().services
    shown = service_at_location(OfferedAt(organization=OSH, service=service, area="KG-GO"))
    assert shown.id == f"{OSH}:legal:KG-GO"
    assert shown.service.organization_id == OSH
    assert shown.service_id == shown.service.id == f"{OSH}:legal"
    assert shown.location_id == shown.location.id == "KG-GO"
    assert shown.service_areas[0].extent == "KG-GO"
    assert shown.location.name != "KG-GO"
