"""`kopuro routing statements`: a month's statements counted again, elsewhere, from decisions and answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, create_engine

from contracts.codes import Answer
from contracts.facts import AnswerSubmitted, OrganizationChanged
from contracts.records import plain
from kopuro_client.commands import main
from runtime.storage.database import Database
from services.directory.adapters.tables import ORGANIZATIONS
from services.routing.adapters.tables import REPLICA
from tests.support.migrated import upgrade
from tests.support.proved_month import ProvedMonth, in_week, proved_month
from tests.unit.services.routing.samples import consent, organization
from tests.unit.services.routing.workbench import event, sender, workbench

ONE, OTHER = "ru.one", "ru.two"
SENDERS = ("kg.0", "kg.1", "kg.2")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's folder after a month in which one organisation was often passed over."""
    folder = tmp_path_factory.mktemp("ended")
    (folder / "data").mkdir()
    bench = workbench(f"sqlite:///{folder}/data/routing.sqlite", ONE, OTHER, *map(sender, SENDERS))
    month = proved_month(bench, folder)
    _use(month)
    month.end()
    month.audit.database.close()
    bench.close()
    directory = Database.open(f"sqlite:///{folder}/data/directory.sqlite")
    upgrade("services.directory", directory)
    directory.close()
    return folder


def _use(month: ProvedMonth) -> None:
    for number in range(72):
        month.bench.clock.time = in_week(number // 24)
        excluded = consent(excluded_organizations=(ONE,) if number % 4 else ())
        offer = month.ask(sender=SENDERS[number % 3], consent=excluded)
        answer = AnswerSubmitted(
            referral_id=offer.referral_id,
            offer_id=offer.offer_id,
            organization=offer.organization,
            answer=Answer.accept,
        )
        if number % 2:
            month.bench.take(event(answer, offer.referral_id, month.bench.clock.time))


@pytest.fixture
def hub(ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KOPURO_DATABASE_TEMPLATE", raising=False)
    shutil.copytree(ended, tmp_path / "hub")
    return tmp_path / "hub"


def change(hub: Path, statement: str) -> None:
    engine = create_engine(f"sqlite:///{hub}/data/routing.sqlite")
    with engine.begin() as connection:
        assert connection.exec_driver_sql(statement).rowcount
    engine.dispose()


def test_statements_of_a_month_agree_with_the_decisions(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["routing", "statements", "2026-03", "--data-dir", str(hub)]) == 0
    said = capsys.readouterr().out
    assert "statements of 2026-03 agree" in said
    number, _, of = said.split()[:3]
    assert int(number) == int(of) > 6


@pytest.mark.parametrize(
    ("statement", "organization", "said"),
    [
        (
            "UPDATE weekly_reports SET statements = json_set(statements,"
            " '$.\"ru.one\".passed_over_in_all', 99) WHERE week = '2026-W11'",
            ONE,
            "passed over is 99 and was",
        ),
        (
            "UPDATE statements SET content = CAST(content || ' ' AS BLOB) WHERE organization = 'kg.0'",
            "kg.0",
            "not the sum",
        ),
        (
            "UPDATE asked_in_week SET decisions = '[]' WHERE organization = 'ru.two' AND week = '2026-W11'",
            OTHER,
            "not those that the statement lists",
        ),
        (
            "UPDATE timeline SET organization = 'ru.one' WHERE number ="
            " (SELECT min(number) FROM timeline WHERE fact = 'offer.opened' AND organization = 'ru.two')",
            OTHER,
            "asked is",
        ),
        (
            "UPDATE decisions SET asked = '[\"ru.one\"]' WHERE id = (SELECT min(id) FROM decisions"
            " WHERE asked = '[\"ru.two\"]')",
            ONE,
            "not those that the statement lists",
        ),
    ],
)
def test_rewritten_figure_is_named(
    hub: Path, capsys: pytest.CaptureFixture[str], statement: str, organization: str, said: str
) -> None:
    change(hub, statement)
    assert main(["routing", "statements", "2026-03", "--data-dir", str(hub), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["mismatches"]
    assert any(one["organization"] == organization and said in one["what"] for one in found), found


def record_of(id: str, parent: str | None = None) -> dict[str, Any]:
    record: dict[str, Any] = plain(replace(organization(id), parent=parent))
    return record


# The senders are branches of ONE, which was passed over: then their referrals do not count.
RECORDS = {ONE: record_of(ONE), **{id: record_of(id, ONE) for id in SENDERS}}


def insert(hub: Path, service: str, table: Table, **row: object) -> None:
    database = Database.open(f"sqlite:///{hub}/data/{service}.sqlite")
    with database.write() as transaction:
        transaction.execute(table.insert(), [row])
    database.close()


def test_row_written_into_routings_replica_changes_no_statement(hub: Path) -> None:
    for change, (id, record) in enumerate(RECORDS.items(), 1):
        row = {"type": OrganizationChanged.type, "key": id, "revision": 1, "change": change}
        forged = {"organization": record, "revision": 1}
        insert(hub, "routing", REPLICA, **row, data=forged, code=bytes(32))
    assert main(["routing", "statements", "2026-03", "--data-dir", str(hub)]) == 0


def test_branch_in_the_directory_is_counted_with_its_organization(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for id, record in RECORDS.items():
        row = {"id": id, "revision": 1, "kind": "union", "country": "RU", "record": record}
        insert(hub, "directory", ORGANIZATIONS, **row)
    assert main(["routing", "statements", "2026-03", "--data-dir", str(hub), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["mismatches"]
    assert any(one["organization"] == ONE and "passed over" in one["what"] for one in found), found


def test_erased_decisions_are_left_out(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(
        hub,
        "UPDATE decisions SET record = '{}', salt = NULL, asked = NULL, erased_at = 1"
        " WHERE id = (SELECT min(id) FROM decisions)",
    )
    assert main(["routing", "statements", "2026-03", "--data-dir", str(hub), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["erased"] == {"2026-W10": 1}


def test_other_texts_than_months_are_refused(hub: Path) -> None:
    assert main(["routing", "statements", "2026-W10", "--data-dir", str(hub)]) == 2


def test_month_without_statements_exits_with_9(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routing", "statements", "2031-10", "--data-dir", str(hub)]) == 9
    assert "nothing was compared" in capsys.readouterr().err
