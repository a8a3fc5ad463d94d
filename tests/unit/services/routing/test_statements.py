"""Monthly statements: issued once, the same for every reader, and proved by the log alone."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from sqlalchemy import select, update

from contracts.errors import Refused
from contracts.facts import StatementIssued
from kopuro_client.tlog import ProvedStatement, TrustPolicy, VerifierKey
from kopuro_client.tlog.errors import ContentError, ProofError, TlogError, UntrustedError
from runtime.identifiers import new_id
from services.routing.adapters.fact_reduction import SqlFactReduction
from services.routing.adapters.issued_statements import SqlStatementStore
from services.routing.adapters.tables import DECISIONS, ISSUED_MONTHS, REFERRALS, STATEMENTS, WEEKLY_REPORTS
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.handlers import statement_issuing
from services.routing.report_ports import IssuedStatement
from tests.long_run import times
from tests.support.proved_month import MONTH, ProvedMonth, in_week, proved_month
from tests.unit.client.tlog.independent_reader import read_statement
from tests.unit.services.routing.samples import NOW, consent
from tests.unit.services.routing.workbench import Workbench, sender, submitted, workbench

ROOT = Path(__file__).parents[4]
ONE, OTHER = "ru.one", "ru.two"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def month(database_url: str, tmp_path: Path) -> Iterator[ProvedMonth]:
    bench = workbench(database_url, ONE, OTHER, *(sender(f"kg.{n}") for n in range(3)))
    made = proved_month(bench, tmp_path)
    yield made
    made.audit.database.close()
    bench.close()


@pytest.fixture
def asked(month: ProvedMonth) -> ProvedMonth:
    """Six referrals in three weeks of the month, three of them offered to each of two organisations."""
    for number in range(6):
        month.bench.clock.time = in_week(number // 2)
        month.ask()
    month.end()
    return month


def issued(bench: Workbench) -> list[StatementIssued]:
    facts = [event.data for event in bench.outbox_events()]
    return [fact for fact in facts if isinstance(fact, StatementIssued)]


def test_statement_of_a_month_is_verified_with_the_log_key_alone(asked: ProvedMonth) -> None:
    file = asked.file(ONE)
    figures = file["statement"]
    assert (figures["asked"], figures["complete"], figures["weeks"][0]) == (3, True, "2026-W10")
    verified = asked.verify(file)
    assert (verified.proved, verified.erased, verified.unlisted, verified.issued) == (3, 0, 0, True)
    offers = {
        event.data for event in asked.bench.published() if getattr(event.data, "organization", "") == ONE
    }
    assert set(verified.referrals) <= {getattr(one, "referral_id", None) for one in offers}


def test_independent_reader_verifies_a_statement_and_refuses_changed_ones(asked: ProvedMonth) -> None:
    file, key = asked.file(ONE), asked.audit.key.verifier_key
    assert tuple(read_statement(file, key)) == asked.verify(file).referrals
    changes: list[Change] = [
        lambda made: made["statement"].update(silent=made["statement"]["silent"] + 1),
        lambda made: made["decisions"][0].update(referral_id=new_id()),
        lambda made: made["decisions"].append(made["decisions"][0]),
        lambda made: made["decisions"][0].update(message_id=made["decisions"][-1]["message_id"]),
        lambda made: made["proofs"][0]["entries"][0]["head"]["value"].update(actor="/kg/intake"),
    ]
    for change in changes:
        change(made := copy.deepcopy(file))
        with pytest.raises((AssertionError, KeyError, ValueError)):
            read_statement(made, key)


def test_files_have_the_published_form(asked: ProvedMonth) -> None:
    schema = json.loads((ROOT / "contracts/schemas/statement.json").read_bytes())
    published = Draft202012Validator(schema)
    published.validate(asked.file(ONE))
    with asked.bench.database.write() as transaction:
        transaction.execute(update(DECISIONS).values(salt=None))
    published.validate(file := asked.file(ONE))
    assert not published.is_valid({**file, "decisions": [{"decision_id": new_id(), "message_id": None}]})


def test_running_month_is_shown_on_request_and_not_issued(month: ProvedMonth) -> None:
    month.ask()
    with pytest.raises(Refused):
        month.queries().statement(ONE, None)
    month.bench.clock.time = in_week(1) + dt.timedelta(hours=1)
    month.report()
    month.log()
    file = month.file(ONE, None)
    assert (file["statement"]["month"], file["statement"]["complete"], file["issued"]) == (
        str(MONTH),
        False,
        None,
    )
    verified = month.verify(file)
    assert (verified.proved + verified.unlisted, verified.issued) == (file["statement"]["asked"], False)


def test_every_organization_gets_one_message_also_without_any_event(asked: ProvedMonth) -> None:
    told = issued(asked.bench)
    directory = asked.bench.network.directory.organizations()
    assert sorted(one.organization for one in told) == sorted(directory)
    assert {one.month for one in told} == {"2026-03"}
    assert asked.issuing().turn() == 0
    assert asked.file("kg.0")["statement"]["asked"] == 0
    assert asked.verify(asked.file("kg.0")).issued


def test_interrupted_issuing_continues_and_none_gets_two(
    month: ProvedMonth, monkeypatch: pytest.MonkeyPatch
) -> None:
    month.bench.clock.time = in_week(0)
    month.ask()
    month.end()
    everybody = len(issued(month.bench))
    # The database after a process that ended between two pages.
    with month.bench.database.write() as transaction:
        transaction.execute(ISSUED_MONTHS.delete())
        transaction.execute(STATEMENTS.delete().where(STATEMENTS.c.organization.in_([ONE, OTHER])))
    monkeypatch.setattr(statement_issuing, "PAGE", 1)
    assert month.issuing().turn() == 2
    assert len(issued(month.bench)) == everybody + 2


def test_month_without_a_weeks_report_is_not_issued(month: ProvedMonth) -> None:
    """Such as the month in which the hub began: its statement would not be one of the month."""
    month.bench.clock.time = in_week(2)
    month.bench.take(submitted(new_id()))
    with month.bench.database.write() as transaction:
        transaction.execute(update(REFERRALS).values(submitted_at=in_week(2)))
    month.bench.clock.time = NOW
    month.end()
    with month.bench.database.write() as transaction:
        transaction.execute(ISSUED_MONTHS.delete())
        transaction.execute(STATEMENTS.delete())
        transaction.execute(WEEKLY_REPORTS.delete().where(WEEKLY_REPORTS.c.week == "2026-W10"))
    assert month.issuing().turn() == 0
    with month.bench.database.read() as transaction:
        assert SqlStatementStore().last_issued(transaction) == MONTH


def test_issued_statement_does_not_change(asked: ProvedMonth) -> None:
    before = asked.file(ONE)["statement"]
    with asked.bench.database.write() as transaction:
        transaction.execute(update(WEEKLY_REPORTS).values(statements={}))
    assert asked.file(ONE)["statement"] == before


def erase(month: ProvedMonth) -> None:
    with month.bench.database.write() as transaction:
        transaction.execute(update(REFERRALS).values(facts_state="revoked"))
        SqlFactReduction().reduce(transaction, NOW, NOW, 100)


def test_withdrawal_of_consent_leaves_the_decisions_of_a_candidate_as_they_were(asked: ProvedMonth) -> None:
    before = asked.file(ONE)
    erase(asked)
    after = asked.file(ONE)
    assert after["decisions"] == before["decisions"]
    assert (asked.verify(after).proved, asked.verify(after).erased) == (3, 0)


def test_organization_gets_no_kept_proof_of_another(asked: ProvedMonth) -> None:
    erase(asked)
    own = {one["decision_id"] for one in asked.file(ONE)["decisions"]}
    assert own.isdisjoint(one["decision_id"] for one in asked.file(OTHER)["decisions"])


def test_statement_of_a_referral_that_an_earlier_build_erased_says_so(asked: ProvedMonth) -> None:
    erase(asked)
    with asked.bench.database.write() as transaction:
        transaction.execute(update(DECISIONS).values(proofs=None))
    file = asked.file(ONE)
    assert {one["unproven"] for one in file["decisions"]} == {"erased"}
    assert "salt" not in str(file["decisions"])
    verified = asked.verify(file)
    assert (verified.proved, verified.erased) == (0, 3)


def test_offers_of_an_earlier_build_are_counted_and_not_proved(month: ProvedMonth) -> None:
    month.ask()
    with month.bench.database.write() as transaction:
        transaction.execute(update(DECISIONS).values(asked=None, logged_in=None))
    month.end()
    (file,) = [file for one in (ONE, OTHER) if (file := month.file(one))["statement"]["asked"]]
    verified = month.verify(file)
    assert (verified.proved, verified.unlisted) == (0, 1)


def _decision(file: dict[str, Any]) -> dict[str, Any]:
    decision: dict[str, Any] = file["decisions"][0]
    return decision


def _entry(file: dict[str, Any], type_: str) -> dict[str, Any]:
    entry: dict[str, Any] = next(
        one
        for part in file["proofs"]
        for one in part["entries"]
        if one["head"]["value"]["type"] == f"kopuro.{type_}.v1"
    )
    return entry


def _named(decision: dict[str, Any]) -> dict[str, Any]:
    return {name: decision[name] for name in ("decision_id", "message_id")}


def _flipped(text: str) -> str:
    return ("B" if text[0] == "A" else "A") + text[1:]


TAMPERED: dict[str, tuple[Change, type[TlogError], str]] = {
    "a figure": (
        lambda file: file["statement"].update(silent=7),
        ContentError,
        "not those that were issued",
    ),
    "a sum": (lambda file: file["statement"].update(answered=7), ContentError, "sum of what was accepted"),
    "considered": (
        lambda file: file["statement"]["considered"].update(at_least=9),
        ContentError,
        "considered is not the sum",
    ),
    "a withheld figure": (
        lambda file: file["statement"]["passed_over"].update(count=0),
        ContentError,
        "contradicts itself",
    ),
    "the month's end": (
        lambda file: file["statement"].update(to="2026-04-13T00:00:00Z"),
        ContentError,
        "not that of its month",
    ),
    "another organisation": (
        lambda file: file["statement"].update(organization=OTHER),
        ContentError,
        "does not say that it asked",
    ),
    "the referral": (
        lambda file: _decision(file).update(referral_id=new_id()),
        ContentError,
        "does not say that it asked",
    ),
    "the outcome": (
        lambda file: _decision(file).update(outcome="not_asked"),
        ContentError,
        "did not ask",
    ),
    "the salt": (
        lambda file: _decision(file).update(salt=_flipped(_decision(file)["salt"])),
        ContentError,
        "does not say that it asked",
    ),
    "the path": (
        lambda file: _decision(file).update(path=[_flipped(one) for one in _decision(file)["path"]]),
        ContentError,
        "does not say that it asked",
    ),
    "a decision twice": (
        lambda file: file["decisions"].__setitem__(1, _decision(file)),
        ContentError,
        "counted twice",
    ),
    "one decision too many": (
        lambda file: file["decisions"].append({**_decision(file), "decision_id": new_id()}),
        ContentError,
        "has no commitment to the organisations",
    ),
    "too many without proof": (
        lambda file: file["decisions"].append(
            {"decision_id": new_id(), "message_id": None, "unproven": "erased"}
        ),
        ContentError,
        "counts 3 offers and lists 4",
    ),
    "an invented reason": (
        lambda file: file["decisions"].__setitem__(
            0, {"decision_id": new_id(), "message_id": None, "unproven": "contradicted"}
        ),
        ContentError,
        "no known reason",
    ),
    "an entry's content": (
        lambda file: _entry(file, "decisions.recorded")["opening"]["data"]["decisions"][0].update(
            candidates="sha256:" + "0" * 64
        ),
        ContentError,
        "does not match the log's commitment",
    ),
    "an entry's head": (
        lambda file: _entry(file, "statement.issued")["head"]["value"].update(organization=OTHER),
        ContentError,
        "does not match the log's commitment",
    ),
    "an entry's proof": (
        lambda file: _entry(file, "statement.issued").update(proof=[]),
        ProofError,
        "proof has",
    ),
    "a missing entry": (
        lambda file: file["proofs"][0].update(
            entries=[_entry(file, "statement.issued")],
        ),
        ContentError,
        "no entry of the log",
    ),
    "the missing issue": (
        lambda file: file.update(issued=new_id()),
        ContentError,
        "no entry about the statement",
    ),
    "an issue that is left out": (
        lambda file: file.update(issued=None),
        ContentError,
        "does not show that the hub has issued",
    ),
    "rewritten figures without an issue": (
        lambda file: (
            file.update(issued=None),
            file["statement"].update(
                answered=file["statement"]["answered"] + 3, accepted=file["statement"]["accepted"] + 3
            ),
        ),
        ContentError,
        "does not show that the hub has issued",
    ),
    "a month that is said to run": (
        lambda file: (
            file.update(issued=None),
            file["statement"].update(complete=False, weeks=file["statement"]["weeks"][:1]),
        ),
        ContentError,
        "does not show that the hub has issued",
    ),
    "no weeks": (
        lambda file: (file.update(issued=None), file["statement"].update(weeks=[], complete=False)),
        ContentError,
        "weeks are not those of its month",
    ),
    "a week of another month": (
        lambda file: file["statement"]["weeks"].__setitem__(0, "2026-W09"),
        ContentError,
        "weeks are not those of its month",
    ),
    "a week twice": (
        lambda file: file["statement"]["weeks"].__setitem__(1, file["statement"]["weeks"][0]),
        ContentError,
        "weeks are not those of its month",
    ),
    "complete without a week": (
        lambda file: file["statement"].update(weeks=file["statement"]["weeks"][:-1]),
        ContentError,
        "contradicts its list of weeks",
    ),
    "incomplete with every week": (
        lambda file: (file.update(issued=None), file["statement"].update(complete=False)),
        ContentError,
        "contradicts its list of weeks",
    ),
    "a proved decision of an earlier build": (
        lambda file: file["decisions"].__setitem__(
            0, {**_named(_decision(file)), "unproven": "earlier_build"}
        ),
        ContentError,
        "commits to the organisations that it asked",
    ),
    "the checkpoint": (
        lambda file: file["proofs"][0].update(
            checkpoint=file["proofs"][0]["checkpoint"].replace("kopuro/kg", "kopuro/kz", 1)
        ),
        UntrustedError,
        "no trusted key",
    ),
    "the log's name": (lambda file: file.update(origin="kopuro/kz"), ContentError, "different logs"),
}


def test_changed_statement_is_refused_with_its_place(asked: ProvedMonth, subtests: pytest.Subtests) -> None:
    issued_file = asked.file(ONE)
    asked.bench.clock.time += dt.timedelta(days=1)
    for what, (change, error, said) in TAMPERED.items():
        file = copy.deepcopy(issued_file)
        change(file)
        with subtests.test(what), pytest.raises(error, match=said):
            asked.verify(file)


def test_every_changed_character_is_refused(asked: ProvedMonth) -> None:
    """A sample of places all over a file, the key excepted, which the verifier has from elsewhere."""
    text = json.dumps(asked.file(ONE))
    free = _span(text, '"log_key": "')
    key = VerifierKey.parse(asked.audit.key.verifier_key)
    refused = 0
    for at in range(0, len(text), times(68, 17)):
        if at in free or text[at] in " ":
            continue
        changed = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
        with pytest.raises(TlogError):
            ProvedStatement.parse(changed.encode()).verify(TrustPolicy(logs=(key,)))
            raise AssertionError(f"accepted with another character at {text[max(0, at - 60) : at + 20]!r}")
        refused += 1
    assert refused > times(50, 200)


def _span(text: str, start: str) -> range:
    """Return where the text of a member is."""
    at = text.index(start) + len(start)
    return range(at, text.index('"', at))


def test_entries_of_others_are_not_opened(asked: ProvedMonth) -> None:
    events = asked.bench.outbox_events()
    own = {event.data.organization: event.id for event in events if isinstance(event.data, StatementIssued)}
    offer = next(event.id for event in asked.bench.published())
    found = asked.entries(ONE, "partner", own[ONE], own[OTHER], offer, new_id())
    assert [entry["opening"]["data"]["organization"] for entry in found["entries"]] == [ONE]
    both = asked.entries("ann", "auditor", own[ONE], own[OTHER], offer)
    assert len(both["entries"]) == 2
    assert asked.entries(ONE, "partner")["entries"] == []


_ID = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"


@pytest.mark.parametrize("message", ["", "x", f"{_ID},", ",".join([_ID] * 101)])
def test_other_messages_than_ids_are_refused(asked: ProvedMonth, message: str) -> None:
    with pytest.raises(Refused) as refused:
        asked.entries(ONE, "partner", message)
    assert refused.value.slug == "invalid-parameter"


def test_decisions_are_paged(asked: ProvedMonth) -> None:
    first, after = asked.queries().decisions(ONE, None, 0, 2)
    last, end = asked.queries().decisions(ONE, None, after or 0, 2)
    assert (len(first), len(last), end) == (2, 1, None)
    assert [one.id for one in (*first, *last)] == [one["decision_id"] for one in asked.file(ONE)["decisions"]]


def test_statement_store_keeps_the_contract_of_its_port(month: ProvedMonth) -> None:
    """The port's contract on both databases."""
    store, database = SqlStatementStore(), month.bench.database
    with database.read() as transaction:
        assert store.last_issued(transaction) is None
        assert store.issued(transaction, MONTH, ONE) is None
    made = IssuedStatement(
        organization=ONE, month=MONTH, content=b'{"\xd1\x84":1}', issued_at=NOW, logged_in=new_id()
    )
    with database.write() as transaction:
        assert store.add(transaction, [made])
    with database.write() as transaction:
        other = IssuedStatement(
            organization=OTHER, month=MONTH, content=b"{}", issued_at=NOW, logged_in=new_id()
        )
        assert not store.add(transaction, [other, made]), "one of them exists, so neither is written"
        store.close(transaction, MONTH, NOW)
        store.close(transaction, MONTH, NOW)
        store.close(transaction, CalendarMonth.parse("2026-02"), NOW)
    with database.read() as transaction:
        assert store.issued_to(transaction, MONTH) == {ONE}
        assert store.issued(transaction, MONTH, ONE) == made
        assert store.last_issued(transaction) == MONTH
        assert store.decisions(transaction, [new_id()]) == {}


def test_decision_row_says_whom_it_asked(month: ProvedMonth) -> None:
    offer = month.ask(consent=consent())
    with month.bench.database.read() as transaction:
        (row,) = transaction.execute(select(DECISIONS.c.id, DECISIONS.c.logged_in)).all()
        stored = SqlStatementStore().decisions(transaction, [row.id])[row.id]
    assert stored.asked == [offer.organization]
    assert set(stored.organizations) >= {ONE, OTHER}
    assert row.logged_in in {event.id for event in month.bench.outbox_events()}
