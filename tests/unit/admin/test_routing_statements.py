"""`kopuro routing statements`: a month's statements counted again, elsewhere, from decisions and answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from contracts.codes import Answer
from contracts.facts import AnswerSubmitted
from kopuro_client.commands import main
from tests.support.proved_month import ProvedMonth, in_week, proved_month
from tests.unit.services.routing.samples import consent
from tests.unit.services.routing.workbench import event, sender, workbench

ONE, OTHER = "ru.one", "ru.two"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's folder after a month in which one organisation was often passed over."""
    folder = tmp_path_factory.mktemp("ended")
    (folder / "data").mkdir()
    bench = workbench(f"sqlite:///{folder}/data/routing.sqlite", ONE, OTHER, sender("kg.0"))
    month = proved_month(bench, folder)
    _use(month)
    month.end()
    month.audit.database.close()
    bench.close()
    shutil.copy(folder / "data/routing.sqlite", folder / "data/directory.sqlite")
    return folder


def _use(month: ProvedMonth) -> None:
    for number in range(24):
        month.bench.clock.time = in_week(number // 8)
        offer = month.ask(consent=consent(excluded_organizations=(ONE,) if number % 4 else ()))
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
