"""Reconciliation of a directory whose sealing keys were replaced by a build without approvals.

The rows and the log of that build are those of its last schema; the migrations make the rest, and the
handlers of this build go on from there.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.envelope import Envelope
from contracts.facts import OrganizationChanged
from contracts.organization import Organization
from contracts.records import plain
from runtime.storage import migrate
from runtime.storage.columns import microseconds
from runtime.storage.database import Database
from tests.services.test_directory_reconciliation import BEGIN, DirectoryWithLog, execute, found
from tests.support.hub_on_disk import HubOnDisk
from tests.unit.services.audit.logs import event
from tests.unit.services.directory.handlers.test_sealing_keys import Pair
from tests.unit.services.directory.samples import OPERATOR, organization

# The schema before approvals and the history of sealing keys.
BEFORE = "898285d6c51d"
# Members of a record that the build with approvals introduced.
LATER_MEMBERS = ("sealing_key_change",)
HOUR = dt.timedelta(hours=1)
# The first replaced its key before the migration, the second before and after it, the third never.
ROTATED, AGAIN, STEADY = "kg.rotated", "kg.rotated-again", "kg.steady"
KEYS = [Pair.new() for _ in range(4)]
# Keyed by organisation: the keys of its revisions.
REVISIONS: dict[str, tuple[Pair | None, ...]] = {
    ROTATED: (None, KEYS[0], KEYS[0], KEYS[1], KEYS[0]),
    AGAIN: (KEYS[1], KEYS[2]),
    STEADY: (KEYS[3], KEYS[3]),
}


def record_of(revised: Organization) -> dict[str, Any]:
    record: dict[str, Any] = plain(revised)
    return {name: value for name, value in record.items() if name not in LATER_MEMBERS}


class EarlierDirectory:
    """The tables and the events of the build before approvals."""

    def __init__(self, url: str) -> None:
        self._database = Database.open(url)
        migrate.upgrade("services.directory", self._database, BEFORE)
        self.events = [
            self._revise(name, number, key)
            for name, keys in REVISIONS.items()
            for number, key in enumerate(keys, start=1)
        ]
        self._database.close()

    def _revise(self, name: str, number: int, key: Pair | None) -> Envelope:
        at = BEGIN - 100 * HOUR + number * HOUR
        revised = organization(name, description=f"revision {number}")
        record = record_of(replace(revised, sealing_key=None if key is None else key.public))
        text = orjson.dumps(record).decode()
        by = OPERATOR.id if number == 1 else name
        with self._database.write() as transaction:
            cursor = transaction.connection.cursor()
            cursor.execute(
                "INSERT INTO revisions (subject, id, number, previous, changed_by, changed_at, record)"
                " VALUES ('organization', ?, ?, ?, ?, ?, ?)",
                (name, number, number - 1 or None, by, microseconds(at), text),
            )
            cursor.execute("DELETE FROM organizations WHERE id = ?", (name,))
            cursor.execute(
                "INSERT INTO organizations (id, revision, record, kind, country) VALUES (?, ?, ?, ?, ?)",
                (name, number, text, revised.kind, revised.country),
            )
            cursor.close()
        data = {"revision": number, "organization": record}
        return event(OrganizationChanged.type, data=data, partition_key=name, time=at, source="/kg/directory")


def migrated(folder: Path, *, goes_on: bool, forged: Sequence[Envelope] = ()) -> Path:
    """Return the closed databases of a hub that was migrated.

    goes_on: whether the directory has changed since. forged: events that the log has at its end.
    """
    earlier = EarlierDirectory(f"sqlite:///{folder}/directory.sqlite")
    hub = HubOnDisk(f"sqlite:///{folder}/{{service}}.sqlite")
    hub.log.append(earlier.events)
    made = DirectoryWithLog(hub)
    if goes_on:
        made.directory.entries.put_organization(OPERATOR, organization("kg.new"))
        made.prove(AGAIN, KEYS[2], KEYS[3])
        made.later()
        made.directory.keys.publish(AGAIN, KEYS[1].public, by=OPERATOR.id, operator=True)
        made.log()
    hub.log.append(forged)
    hub.close()
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated(tmp_path_factory.mktemp("migrated"), goes_on=True)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "hub"))


def test_keys_that_were_replaced_before_the_migration_agree_with_the_log(folder: Path) -> None:
    assert found(folder) == []


def test_directory_that_has_not_changed_since_its_migration_agrees_with_the_log(tmp_path: Path) -> None:
    assert found(migrated(tmp_path, goes_on=False)) == []


def rewrite(folder: Path, statement: str, name: str, number: int) -> None:
    execute(folder, f"{statement} WHERE organization = ? AND number = ?", name, number)


MIGRATED = [(ROTATED, 2), (ROTATED, 4), (ROTATED, 5), (AGAIN, 1), (AGAIN, 2), (STEADY, 1)]


@pytest.mark.parametrize(("name", "number"), MIGRATED)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sealing_keys SET manner = 'proved'",
        "UPDATE sealing_keys SET manner = CASE manner WHEN 'first' THEN 'approved' ELSE 'first' END",
        "UPDATE sealing_keys SET \"by\" = 'kg.thief'",
        "UPDATE sealing_keys SET approved_by = 'kg.second'",
        "UPDATE sealing_keys SET since = since + 1",
        "UPDATE sealing_keys SET number = number + 90",
        "UPDATE sealing_keys SET number = number - 90",
        "UPDATE sealing_keys SET organization = 'kg.new'",
        "DELETE FROM sealing_keys",
    ],
)
def test_rewritten_row_of_a_key_that_was_replaced_before_the_migration_is_named(
    copied: Path, statement: str, name: str, number: int
) -> None:
    rewrite(copied, statement, name, number)
    assert f"organization {name}" in {one.record for one in found(copied)}


@pytest.mark.parametrize(("name", "number"), MIGRATED)
@pytest.mark.parametrize("copy", [-1, 6, 99])
def test_copied_row_of_a_key_that_was_replaced_before_the_migration_is_named(
    copied: Path, name: str, number: int, copy: int
) -> None:
    execute(
        copied,
        'INSERT INTO sealing_keys (organization, number, "key", since, manner, "by")'
        ' SELECT organization, ?, "key", since, manner, "by" FROM sealing_keys'
        " WHERE organization = ? AND number = ?",
        copy,
        name,
        number,
    )
    assert f"organization {name}" in {one.record for one in found(copied)}


@pytest.mark.parametrize("names_author", [False, True])
def test_key_that_a_forged_event_of_an_earlier_build_brings_is_named(
    tmp_path: Path, names_author: bool
) -> None:
    """A thief of the directory's key leaves out who replaced a sealing key, as the earlier build did."""
    at = BEGIN + 100 * HOUR
    record = record_of(organization(STEADY, description="revision 3"))
    record["sealing_key"] = plain(Pair.new().public)
    data = {"revision": 3, "organization": record, **({"by": OPERATOR.id} if names_author else {})}
    forged = event(OrganizationChanged.type, data=data, partition_key=STEADY, time=at, source="/kg/directory")
    migrated(tmp_path, goes_on=True, forged=[forged])
    text = orjson.dumps(record).decode()
    execute(tmp_path, "UPDATE organizations SET revision = 3, record = ? WHERE id = ?", text, STEADY)
    execute(
        tmp_path,
        "INSERT INTO revisions (subject, id, number, previous, changed_by, changed_at, record)"
        " VALUES ('organization', ?, 3, 2, ?, ?, ?)",
        STEADY,
        OPERATOR.id,
        microseconds(at),
        text,
    )
    execute(
        tmp_path,
        'INSERT INTO sealing_keys (organization, number, "key", since, manner, "by")'
        " VALUES (?, 3, ?, ?, 'approved', ?)",
        STEADY,
        orjson.dumps(record["sealing_key"]).decode(),
        microseconds(at),
        OPERATOR.id,
    )
    (difference,) = found(tmp_path)
    assert difference.record == f"organization {STEADY}"
    assert "the log has no entry for the key" in difference.what
