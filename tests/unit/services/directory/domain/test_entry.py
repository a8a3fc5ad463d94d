"""Revisions: one for each change, none for an unchanged entry."""

from __future__ import annotations

import pytest

from contracts.errors import Defect
from services.directory.domain.entry import Standing, Subject, revise
from tests.unit.services.directory.samples import NOON, organization


def test_first_revision_is_one_without_previous() -> None:
    (revision,) = revise({}, [organization()], by="kg.operator", at=NOON)
    assert (revision.number, revision.previous) == (1, None)
    assert (revision.changed_by, revision.changed_at) == ("kg.operator", NOON)
    assert revision.subject is Subject.organization


def test_revision_follows_the_previous_one() -> None:
    standing = {organization().id: Standing(revision=7, entry=organization())}
    (revision,) = revise(standing, [organization(name="New")], by="x", at=NOON)
    assert (revision.number, revision.previous, revision.entry.name) == (8, 7, "New")


def test_unchanged_entry_makes_no_revision() -> None:
    standing = {organization().id: Standing(revision=7, entry=organization())}
    assert revise(standing, [organization()], by="x", at=NOON) == []


def test_entry_changed_twice_in_one_call_raises_defect() -> None:
    with pytest.raises(Defect):
        revise({}, [organization(), organization(name="New")], by="x", at=NOON)
