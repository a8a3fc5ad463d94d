"""Filing adds facets to entries from before facets existed, unless their content was erased."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import select, update

from runtime.identifiers import new_id
from runtime.storage.database import Database
from services.audit.adapters.tables import CLOSURES, FACETS, OPENINGS, UNFILED
from services.audit.log.adapters.sql_retention import SqlClosures
from services.audit.log.adapters.sql_unfiled import SqlUnfiled
from services.audit.log.domain.search import Search
from services.audit.log.handlers import filing
from services.audit.log.handlers.filing import Filing
from services.audit.migrations import checks
from tests.unit.services.audit.logs import LogOnDatabase, event

FACTS = {"needs": ["legal.wage_claim"], "region": "RU-MOW", "origin_country": "KG", "sex": "female"}
SUBMITTED = "kopuro.referral.submitted.v1"


def submitted() -> Any:
    referral = new_id()
    data = {"referral_id": referral, "sender": "kg.osh-legal-aid", "facts": FACTS}
    return event(SUBMITTED, partition_key=referral, data=data, source="/kg/intake")


def facets(audit: LogOnDatabase) -> list[tuple[int, str, str]]:
    with audit.database.read() as transaction:
        rows = select(FACETS.c.leaf_index, FACETS.c.facet, FACETS.c.value).order_by(*FACETS.primary_key)
        return [tuple(row) for row in transaction.execute(rows)]


def unfiled(audit: LogOnDatabase) -> tuple[int, int]:
    with audit.database.read() as transaction:
        row = transaction.execute(select(UNFILED.c.start, UNFILED.c.stop)).one()
    return row.start, row.stop


def migrated_again(database: Database) -> None:
    with database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        checks.downgrade()
        checks.upgrade()


def file_all(audit: LogOnDatabase) -> None:
    handler = Filing(audit.database, SqlUnfiled(SqlClosures()))
    for _ in range(100):
        handler.turn()


@pytest.fixture
def old(audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> LogOnDatabase:
    """Ten entries that were appended before there were facets, and three after."""
    monkeypatch.setattr(filing, "STEP", 4)
    audit.append([submitted() for _ in range(10)])
    audit.append([submitted() for _ in range(3)])
    with audit.database.write() as transaction:
        transaction.execute(FACETS.delete().where(FACETS.c.leaf_index < 10))
    migrated_again(audit.database)
    return audit


def test_migration_records_the_entries_without_facets(old: LogOnDatabase) -> None:
    assert unfiled(old) == (0, 10)


def test_migration_without_any_facets_records_all_entries(old: LogOnDatabase) -> None:
    with old.database.write() as transaction:
        transaction.execute(FACETS.delete())
    migrated_again(old.database)
    assert unfiled(old) == (0, 13)


def test_new_log_has_no_entries_without_facets(audit: LogOnDatabase) -> None:
    assert unfiled(audit) == (0, 0)
    audit.append([submitted()])
    before = facets(audit)
    file_all(audit)
    assert facets(audit) == before


def test_filing_adds_the_facets_of_a_normal_append(old: LogOnDatabase) -> None:
    file_all(old)
    found = facets(old)
    of_a_new_one = [(facet, value) for index, facet, value in found if index == 12]
    assert ("need", "legal") in of_a_new_one
    for index in range(10):
        assert [(facet, value) for at, facet, value in found if at == index] == of_a_new_one
    search = Search(facets=(("corridor", "KG-RU"),))
    with old.database.read() as transaction:
        leaves = old.log.search(transaction, search, start=0, stop=13, limit=50)
    assert [leaf.index for leaf in leaves] == list(range(13))


def test_filing_turn_does_one_step_and_a_crash_loses_only_it(old: LogOnDatabase) -> None:
    handler = Filing(old.database, SqlUnfiled(SqlClosures()))
    handler.turn()
    assert {index for index, _, _ in facets(old)} == {0, 1, 2, 3, 10, 11, 12}
    assert unfiled(old) == (4, 10)
    file_all(old)
    assert unfiled(old) == (10, 10)


def test_filing_adds_no_facet_twice(old: LogOnDatabase) -> None:
    file_all(old)
    before = facets(old)
    with old.database.write() as transaction:
        transaction.execute(update(UNFILED).values(start=0))
    file_all(old)
    assert facets(old) == before


def test_filing_adds_no_facets_to_erased_entries(old: LogOnDatabase) -> None:
    with old.database.write() as transaction:
        erased = old.log.leaves(transaction, 5, 6)[0]
        assert erased.referral_id is not None
        assert SqlClosures().erase(transaction, [erased.referral_id], stop=13) == {erased.referral_id: 1}
    file_all(old)
    assert {index for index, _, _ in facets(old)} == set(range(13)) - {5}


def test_referral_closed_before_retention_existed_is_erased(audit: LogOnDatabase) -> None:
    referral = new_id()
    reason = {"referral_id": referral, "reason": "consent_revoked"}
    withdrawn = event("kopuro.referral.withdrawn.v1", partition_key=referral, data=reason)
    audit.append([submitted(), event(partition_key=referral, data={"organization": "kg.a"}), withdrawn])
    with audit.database.write() as transaction:
        transaction.execute(FACETS.delete())
        transaction.execute(CLOSURES.delete())
    migrated_again(audit.database)
    file_all(audit)
    with audit.database.write() as transaction:
        due = SqlClosures().due(transaction, None, 10)
        assert due == [referral]
        SqlClosures().erase(transaction, due, stop=3)
        assert list(transaction.execute(select(OPENINGS.c.leaf_index)).scalars()) == [0]
    assert {index for index, facet, _ in facets(audit) if facet != "actor"} == {0}
