"""A log that earlier builds began continues with format 3, and all of it verifies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command

from contracts.records import dump, plain
from kopuro_client.tlog import Bundle, DirectorySource, TrustPolicy, VerifierKey, verify_log
from runtime.clock import SystemClock
from runtime.identifiers import new_id
from runtime.storage import migrate
from runtime.storage.database import Database
from services.audit.log.adapters.directory_publication import DirectoryPublication
from services.audit.log.adapters.sql_contents import SqlContents
from services.audit.log.handlers.content_inspection import ContentInspection
from services.audit.log.handlers.self_check import SelfCheck
from services.audit.log.ports import Search
from services.audit.reports.bundle_file import bundle_file
from tests.support.migrated import upgrade
from tests.unit.client.tlog import independent_reader
from tests.unit.services.audit.earlier_leaves import append_as_earlier_build
from tests.unit.services.audit.logs import LogOnDatabase, auditor, event, new_key

FIRST, SECOND = new_id(), new_id()
OSH, MOSCOW = "kg.osh-legal-aid", "ru.moscow-union"
# The newest migration of the builds that appended leaves of format 2.
BEFORE_HEADS = "a1c4e2f09b31"
SUBMITTED, OPENED = "kopuro.referral.submitted.v1", "kopuro.offer.opened.v1"
ACCEPTED = "kopuro.offer.accepted.v1"


@pytest.fixture
def audit(database_url: str, tmp_path: Path) -> Iterator[LogOnDatabase]:
    """Entries 0 and 1 are of format 1, 2 and 3 of format 2, 4 to 6 of format 3, appended after an upgrade."""
    database = Database.open(database_url)
    upgrade("services.audit", database)
    publication = DirectoryPublication(tmp_path / "log")
    made = LogOnDatabase(database=database, key=new_key(), publication=publication)
    made.check()
    with database.write() as connection:
        command.downgrade(migrate._config("services.audit", connection), BEFORE_HEADS)
    sender = {"sender": OSH, "facts": {"region": "RU-MOW"}}
    append_as_earlier_build(
        made,
        [
            event(SUBMITTED, partition_key=FIRST, data=sender),
            event(SUBMITTED, partition_key=SECOND, data=sender),
        ],
        respelled=True,
    )
    append_as_earlier_build(
        made,
        [
            event(OPENED, partition_key=FIRST, data={"organization": MOSCOW, "rank": 1}),
            event("kopuro.token_key.changed.v1", partition_key="kid-1", data={"revision": 1}),
        ],
    )
    upgrade("services.audit", database)
    made.publish(
        [
            event(ACCEPTED, partition_key=FIRST, data={"organization": MOSCOW, "sender": OSH}),
            event(SUBMITTED, partition_key=SECOND, data=sender),
            event("kopuro.referral.completed.v1", partition_key=FIRST, data={"outcome": "resolved"}),
        ]
    )
    yield made
    database.close()


def policy(audit: LogOnDatabase) -> TrustPolicy:
    return TrustPolicy(logs=(VerifierKey.parse(audit.key.verifier_key),))


def test_log_of_every_format_passes_start_and_inspection(audit: LogOnDatabase) -> None:
    assert SelfCheck(audit.database, audit.log, audit.key, SystemClock()).run().size == 7
    with audit.database.read() as transaction:
        ContentInspection(audit.log, SqlContents()).check(transaction, 0, 7, is_filed=True)


def test_history_shows_entries_of_every_format_alike(audit: LogOnDatabase) -> None:
    leaves = audit.history.page(auditor("ann"), Search(referral_id=FIRST), None, 50).leaves
    assert [leaf.index for leaf in leaves] == [0, 2, 4, 6]
    assert {frozenset(leaf.fields) for leaf in leaves} == {
        frozenset(json.loads(leaves[0].leaf))  # the members of an earlier leaf
    }


def test_log_of_every_format_verifies_with_client_and_independent_reader(
    audit: LogOnDatabase, tmp_path: Path
) -> None:
    verified = verify_log(DirectorySource(tmp_path / "log"), policy(audit))
    assert verified.replayed.entries == 7
    bundle = plain(bundle_file(audit.history.export(auditor("ann"), FIRST)))
    content = json.dumps(bundle).encode()
    parsed = Bundle.parse(content)
    accepted, entries = parsed.verify(policy(audit))
    assert (accepted.checkpoint.size, [entry.index for entry in entries]) == (7, [0, 2, 4, 6])
    assert [entry.closed for entry in entries] == [False, False, True, True]
    read = independent_reader.read_bundle(bundle)
    assert [(one.index, one.format) for one in read] == [(0, 2), (2, 2), (4, 3), (6, 3)]
    assert [one.data for one in read] == [entry.data for entry in entries]


def test_key_of_the_bundle_finds_every_entry_of_the_referral(audit: LogOnDatabase, tmp_path: Path) -> None:
    exported = audit.history.export(auditor("ann"), FIRST)
    assert exported.referral_key is not None
    leaves = independent_reader.leaves_in(tmp_path / "log")
    assert independent_reader.of_referral(leaves, FIRST, exported.referral_key) == [0, 2, 4, 6]
    parsed = Bundle.parse(dump(bundle_file(exported)))
    assert [index for index, leaf in enumerate(leaves) if parsed.is_about(leaf)] == [0, 2, 4, 6]
