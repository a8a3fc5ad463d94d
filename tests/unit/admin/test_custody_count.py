"""Cases from before intake counted any are counted from what the vault keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import insert, select

from admin.custody_count import AT_ONCE, count_custody
from admin.environment_files import write_environment
from contracts.errors import Refused
from contracts.facts import ReferralWithdrawn
from contracts.topology import SERVICES
from kopuro_client.commands import main
from runtime.identifiers import new_id
from runtime.storage.database import Database, sqlite_url
from services.intake.adapters.tables import CASES_IN_CUSTODY, CUSTODY_SUMS
from services.intake.migrations import cases_in_custody, custody_recount
from services.vault.adapters.tables import CUSTODIES, SEALED_CASES
from services.vault.domain.sealed import SealedCase
from tests.support.migrated import upgrade
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import MOSCOW, NOON, OSH
from tests.unit.services.intake.test_custody_bound import CASE, case, end, fill


@pytest.fixture
def bench(database_url: str) -> Iterator[IntakeBench]:
    """A sender may have ten cases in custody."""
    bench = IntakeBench(database_url)
    bench.custody_bytes = 10 * CASE
    bench.handlers = bench.new_handlers()
    yield bench
    bench.database.close()


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(sqlite_url(tmp_path / "vault.sqlite"))
    upgrade("services.vault", database)
    yield database
    database.close()


def keep(vault: Database, referral_ids: Sequence[str], sender: str = OSH) -> None:
    """Put cases into the vault's database."""
    sealed = SealedCase.split(case())
    parts = {"wrapped_key": sealed.wrapped_key, "ciphertext": sealed.ciphertext}
    with vault.write() as transaction:
        custodies = [
            {"referral_id": one, "state": "held", "sender": sender, "changed_at": NOON}
            for one in referral_ids
        ]
        transaction.execute(insert(CUSTODIES), custodies)
        transaction.execute(insert(SEALED_CASES), [{"referral_id": one, **parts} for one in referral_ids])


def migrate_from_before(bench: IntakeBench) -> None:
    """Leave the database as the migrations make it of one without counts."""
    with bench.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        custody_recount.downgrade()
        cases_in_custody.downgrade()
        cases_in_custody.upgrade()
        custody_recount.upgrade()


def counts(bench: IntakeBench) -> tuple[dict[str, int], dict[str, int]]:
    """Return the counted bytes by referral, and their sums by sender."""
    with bench.database.read() as transaction:
        cases = transaction.execute(select(CASES_IN_CUSTODY.c.referral_id, CASES_IN_CUSTODY.c.bytes))
        by_referral = {row[0]: row[1] for row in cases}
        sums = transaction.execute(select(CUSTODY_SUMS.c.sender, CUSTODY_SUMS.c.bytes))
        return by_referral, {row[0]: row[1] for row in sums}


def test_earlier_cases_count_against_their_senders_bound(bench: IntakeBench, vault: Database) -> None:
    earlier = fill(bench)
    keep(vault, earlier)
    migrate_from_before(bench)
    assert counts(bench) == ({}, {})
    assert count_custody(vault, bench.database) == 10
    by_referral, sums = counts(bench)
    assert (set(by_referral), sums) == (set(earlier), {OSH: sum(by_referral.values())})
    assert all(CASE - 10 < size < CASE + 10 for size in by_referral.values())
    with pytest.raises(Refused, match="keeps at most"):
        bench.submit(case=case())
    # The end of a counted one frees its room.
    end(bench, ReferralWithdrawn(referral_id=earlier[0], sender=OSH, organization=None, reason="other"))
    assert len(fill(bench)) == 1


def test_step_may_be_repeated_and_changes_no_case_that_counts(bench: IntakeBench, vault: Database) -> None:
    earlier = [bench.submit(case=case()) for _ in range(3)]
    keep(vault, earlier)
    migrate_from_before(bench)
    later = bench.submit(case=case(2 * CASE))
    keep(vault, [later])
    assert count_custody(vault, bench.database) == 3
    before = counts(bench)
    assert before[0][later] == 2 * CASE
    assert count_custody(vault, bench.database) == 0
    assert counts(bench) == before


def test_cases_of_every_page_and_sender_are_counted(bench: IntakeBench, vault: Database) -> None:
    of_osh, of_moscow = [new_id() for _ in range(AT_ONCE + 1)], [new_id() for _ in range(AT_ONCE)]
    keep(vault, of_osh)
    keep(vault, of_moscow, MOSCOW)
    assert count_custody(vault, bench.database) == 2 * AT_ONCE + 1
    by_referral, sums = counts(bench)
    assert set(by_referral) == {*of_osh, *of_moscow}
    assert sums == {
        OSH: sum(by_referral[one] for one in of_osh),
        MOSCOW: sum(by_referral[one] for one in of_moscow),
    }


def test_command_reads_the_databases_of_environment_files(
    tmp_path: Path, vault: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    intake: Any = Database.open(sqlite_url(tmp_path / "intake.sqlite"))
    upgrade("services.intake", intake)
    intake.close()
    keep(vault, [new_id()])
    for service in SERVICES:
        variables = {"KOPURO_DATABASE_URL": sqlite_url(tmp_path / f"{service}.sqlite")}
        write_environment(tmp_path / f"{service}.env", variables)
    assert main(["admin", "count-custody", "--env", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 earlier case counted\n"
