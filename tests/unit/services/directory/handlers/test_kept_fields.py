"""Changes of an organisation's own record by its staff: which members they may change, and which not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from contracts.codes import OrganizationKind, Vetting
from contracts.errors import Refused
from contracts.organization import Organization
from contracts.records import plain
from runtime.storage import migrate
from runtime.storage.database import Database
from services.directory import admission
from services.directory.domain.amendment import KEPT_BY_DIRECTORY, KEPT_BY_OPERATORS
from services.directory.domain.precondition import ANY_REVISION
from tests.unit.services.directory.samples import (
    NOON,
    OPERATOR,
    OSH,
    OSH_ITSELF,
    Directory,
    new_sealing_key,
    organization,
    organization_record,
)

# The members that an organisation may change in its own record.
OWN = {"name", "description", "active", "profile", "languages", "services"}
PRESENT = {**organization_record(), "parent": "kg.parent"}
# Other values of every member that it may not change, null included.
FORBIDDEN: dict[str, list[Any]] = {
    "kind": [kind for kind in OrganizationKind if kind != PRESENT["kind"]],
    "country": ["UZ", "RU", "KZ"],
    "parent": [None, "kg.other", OSH],
    "vetting": [state for state in Vetting if state != PRESENT["vetting"]],
    "vetted_by": [None, "Ourselves"],
    "vetted_on": [None, "2026-02-28"],
    "sealing_key": [plain(new_sealing_key())],
    "sealing_key_change": [{"at": "2026-03-01T09:00:00Z", "manner": "approved"}],
    "approved_services": [
        [{"service": "legal", "needs": ["legal.wage_claim"], "by": OSH, "at": "2026-03-01T09:00:00Z"}]
    ],
}
CASES = [(field, value) for field, values in FORBIDDEN.items() for value in values]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """A directory whose records no test changes."""
    database = Database.open(f"sqlite:///{tmp_path_factory.mktemp('directory') / 'kept.sqlite'}")
    migrate.upgrade("services.directory", database)
    directory = Directory(database)
    for record in (organization("kg.parent"), organization("kg.other"), organization(parent="kg.parent")):
        directory.entries.put_organization(OPERATOR, record)
    yield directory
    database.close()


def test_every_member_of_a_record_is_its_own_or_kept() -> None:
    assert {field.name for field in fields(Organization)} == {"id"} | OWN | FORBIDDEN.keys()
    assert {*KEPT_BY_OPERATORS, *KEPT_BY_DIRECTORY} == FORBIDDEN.keys()


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(("field", "value"), CASES)
def test_change_of_a_kept_member_by_the_organization_is_forbidden(
    kept: Directory, method: str, field: str, value: Any
) -> None:
    before = kept.listings.organization(OSH), len(kept.events())
    with pytest.raises(Refused) as refusal:
        if method == "PATCH":
            kept.entries.patch_organization(
                OSH_ITSELF,
                OSH,
                {field: value},
                precondition=ANY_REVISION,
                admit=lambda document: admission.organization(document, NOON),
            )
        else:
            wanted = admission.organization({**PRESENT, field: value}, NOON)
            kept.entries.put_organization(OSH_ITSELF, wanted, precondition=ANY_REVISION)
    assert refusal.value.slug == "forbidden"
    assert [error.pointer for error in refusal.value.errors] == [f"/{field}"]
    assert (kept.listings.organization(OSH), len(kept.events())) == before


def test_member_smuggled_beside_a_permitted_change_is_forbidden(kept: Directory) -> None:
    for field, value in CASES:
        with pytest.raises(Refused) as refusal:
            kept.entries.patch_organization(
                OSH_ITSELF,
                OSH,
                {"name": "New name", field: value},
                precondition=ANY_REVISION,
                admit=lambda document: admission.organization(document, NOON),
            )
        assert refusal.value.slug == "forbidden"
    assert kept.listings.organization(OSH).entry.name == PRESENT["name"]
