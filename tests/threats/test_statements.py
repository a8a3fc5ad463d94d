"""Statements under attack: rewritten tables, two statements for two readers, and what proofs reveal."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, update

from admin.read_only_engine import open_read_only
from admin.reconciliation.service_states import ServiceStates
from admin.reconciliation.statement_differences import statement_differences
from contracts.facts import OfferOpened
from kopuro_client.tlog.errors import ContentError, TlogError
from runtime.identifiers import new_id
from services.routing.adapters.tables import DECISIONS, STATEMENTS
from services.routing.domain.candidate_tree import prove_candidate
from tests.support.proved_month import MONTH, ProvedMonth, in_week, proved_month
from tests.unit.services.routing.samples import consent
from tests.unit.services.routing.workbench import sender, submitted, workbench

ONE, OTHERS = "ru.one", ("ru.second-union", "ru.third-clinic")
REFERRAL = "01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"
WITHHELD = {"count": None, "withheld": True, "at_least": 0}


@pytest.fixture
def month(tmp_path: Path) -> Iterator[ProvedMonth]:
    made = _month(tmp_path)
    yield made
    _close(made)


def _month(folder: Path) -> ProvedMonth:
    folder.mkdir(exist_ok=True)
    bench = workbench(f"sqlite:///{folder}/routing.sqlite", ONE, *OTHERS, sender("kg.0"))
    return proved_month(bench, folder)


def _close(month: ProvedMonth) -> None:
    month.audit.database.close()
    month.bench.close()


def five_referrals(month: ProvedMonth, **consents: Any) -> list[OfferOpened]:
    """One each week and a fifth, for each of which one organisation is asked."""
    offers = []
    for number in range(5):
        month.bench.clock.time = in_week(number % 4)
        offers.append(month.ask(consent=consent(**consents)))
    return offers


def test_rewritten_outcome_is_refused_by_the_organization_that_was_asked(month: ProvedMonth) -> None:
    """An attacker moves an offer from one organisation to another in routing's tables."""
    five_referrals(month)
    month.end()
    before = month.file(ONE)
    assert month.verify(before).proved == before["statement"]["asked"] > 0
    _rewrite(month, DECISIONS, asked=[OTHERS[0]])
    with pytest.raises(ContentError, match="did not ask the organisation"):
        month.verify(month.file(ONE))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # The record loses a competitor, gains one, or loses the organisation itself.
        ({"record": {"candidates": [{"organization": ONE}]}}, "does not say that it asked"),
        (
            {"record": {"candidates": [{"organization": one} for one in (ONE, *OTHERS, "ru.new")]}},
            "does not say that it asked",
        ),
        ({"record": {"candidates": [{"organization": OTHERS[0]}]}}, "no known reason for that"),
        ({"salt": bytes(32)}, "does not say that it asked"),
        ({"referral_id": "01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"}, "does not say that it asked"),
        ({"asked": [ONE, *OTHERS]}, "does not say that it asked"),
        ({"logged_in": "01938a6e-5f4c-7d31-9b0a-3f2a7c1e8d55"}, "has no entry of the log"),
    ],
    ids=str,
)
def test_rewritten_decision_is_refused(month: ProvedMonth, change: dict[str, Any], said: str) -> None:
    five_referrals(month)
    month.end()
    _rewrite(month, DECISIONS, **change)
    with pytest.raises(TlogError, match=said):
        month.verify(month.file(ONE))


def test_rewritten_statement_is_refused_by_its_reader_and_named_by_reconciliation(month: ProvedMonth) -> None:
    """Two readers cannot be given two statements: the log has the digest of one."""
    five_referrals(month)
    month.end()
    assert differences(month) == []
    content = json.dumps({**month.file(ONE)["statement"], "silent": 7}).encode()
    with month.bench.database.write() as transaction:
        transaction.execute(
            update(STATEMENTS).where(STATEMENTS.c.organization == ONE).values(content=content)
        )
    with pytest.raises(ContentError, match="not those that were issued"):
        month.verify(month.file(ONE))
    assert differences(month) == [
        f"the statement of {ONE} for {MONTH} differs from the logged digest: it was rewritten"
    ]


def test_second_and_missing_statements_are_named_by_reconciliation(month: ProvedMonth) -> None:
    five_referrals(month)
    month.end()
    with month.bench.database.write() as transaction:
        transaction.execute(STATEMENTS.delete().where(STATEMENTS.c.organization == ONE))
    assert differences(month) == [f"the statement of {ONE} for {MONTH} is missing"]
    with month.bench.database.write() as transaction:
        transaction.execute(Table("issued_months", STATEMENTS.metadata).delete())
    month.issuing().turn()
    assert [what.partition(" has no entry")[0] for what in differences(month)] == [
        f"the statement of {ONE} for {MONTH} is missing",
        f"the statement of {ONE} for {MONTH}",
    ]
    month.log()
    assert "was issued twice" in "".join(differences(month))


def differences(month: ProvedMonth) -> list[str]:
    engines = {
        "routing": open_read_only(str(month.bench.database.engine.url)),
        "audit": open_read_only(str(month.audit.database.engine.url)),
    }
    try:
        states = ServiceStates(engines)
        logged = [one for page in states.logged_statements(100) for one in page]
        settled = dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
        return [one.what for one in statement_differences(states.statements(), logged, settled)]
    finally:
        for engine in engines.values():
            engine.dispose()


def test_statement_and_proofs_name_no_other_organization(month: ProvedMonth) -> None:
    five_referrals(month)
    month.end()
    file = json.dumps(month.file(ONE))
    assert month.file(ONE)["decisions"], "there is something to look into"
    for other in (*OTHERS, "kg.0", "kg.sender"):
        assert other not in file
    assert "score" not in file
    assert "rank" not in file


def test_persons_choice_changes_nothing_that_the_organization_reads(tmp_path: Path) -> None:
    """Two months that differ in one thing: whether persons excluded the organisation that could not help."""
    shown = []
    for name, excluded in (("excluded", (ONE,)), ("not-excluded", ())):
        month = _month(tmp_path / name)
        for number in range(4):
            # Nobody speaks the language, so nobody is asked.
            choice = consent(excluded_organizations=excluded)
            month.bench.take(submitted(new_id(), consent=choice, languages=("tg",)))
            month.bench.clock.time = in_week(number)
        month.end()
        file = month.file(ONE)
        assert month.verify(file).issued
        assert file["statement"]["passed_over"] == WITHHELD
        shown.append((json.dumps(file["statement"]), file["decisions"]))
        _close(month)
    assert shown[0] == shown[1]
    assert shown[0][1] == [], "no decision that asked others is shown, because each has a time"


def test_leaf_of_an_excluded_organization_is_like_that_of_any_other_that_was_not_asked() -> None:
    """An auditor who opens a leaf in a dispute reveals no reason."""
    proofs = [
        prove_candidate(ONE, REFERRAL, (ONE, *OTHERS), asked, bytes(32))
        for asked in ([OTHERS[0]], [OTHERS[1]])
    ]
    assert {(one.outcome, one.salt, one.size) for one in proofs} == {
        ("not_asked", proofs[0].salt, len(OTHERS) + 1)
    }


def _rewrite(month: ProvedMonth, table: Table, **values: Any) -> None:
    with month.bench.database.write() as transaction:
        transaction.execute(update(table).values(**values))
