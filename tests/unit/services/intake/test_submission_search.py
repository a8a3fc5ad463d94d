"""Admitted submissions found by id and by Idempotency-Key, on a real database."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from sqlalchemy import update

from contracts.errors import Refused
from contracts.queries import PartyQuery
from runtime.access.reads import NOTHING_READ, Read
from runtime.access.tokens import Principal
from runtime.clock import SystemClock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.outbox.outbox_age import OutboxAge
from runtime.web.request import Request
from services.intake import api
from services.intake.adapters.store import SqlAdmissionStore
from services.intake.adapters.tables import COMMANDS, MESSAGING, SUBMISSIONS
from services.intake.commits import IDEMPOTENCY_KEYS_KEPT
from services.intake.domain.command import COMMANDS as COMMAND_BODIES
from services.intake.handlers import Command
from services.intake.submission_search import SubmissionSearch
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import MOSCOW, NOON, OFFER, OSH, STRANGER, caller, claim, document
from tests.unit.services.intake.test_idempotency_over_http import ApiClient

Json = dict[str, Any]
PROGRESS = COMMAND_BODIES["progress"]


@pytest.fixture
def search(bench: IntakeBench) -> SubmissionSearch:
    return SubmissionSearch(
        database=bench.database,
        store=SqlAdmissionStore(),
        outbox_age=OutboxAge(Outbox(MESSAGING.outbox), SystemClock()),
    )


def find(search: SubmissionSearch, who: str, role: str = "partner", **query: str) -> tuple[list[Json], Any]:
    """Return the items of `GET /v1/submissions` and what it states as read."""
    principal = Principal(id=who, roles=frozenset({role}))
    request = Request(method="GET", route="", path_params={}, query_params=query, caller=principal)
    response = api.find(search, request)
    return json.loads(response.body)["items"], response.read


def report(bench: IntakeBench, referral_id: str, by: str, key: str | None = None) -> str:
    bench.routing.answers[PartyQuery(id=referral_id, organization=by)] = True
    body = PROGRESS(status="in_progress")  # type: ignore[call-arg]
    command = Command(body=body, subject=referral_id, claim=key and claim(key, b"{}", by))  # type: ignore[arg-type]
    return bench.handlers.submit_command(caller(by, new_id=new_id), command)


def publish(bench: IntakeBench) -> None:
    """Delete the outbox's rows, which the relay does once the broker has confirmed."""
    with bench.database.write() as transaction:
        outbox = Outbox(MESSAGING.outbox)
        outbox.forget(transaction, [number for number, _ in outbox.oldest(transaction, 100)])


def test_referral_is_found_by_id_and_key_before_and_after_it_is_published(
    bench: IntakeBench, search: SubmissionSearch
) -> None:
    referral = bench.submit(claim("monday", b"{}"))
    for query in ({"id": referral}, {"key": "monday"}):
        (found,), _ = find(search, OSH, **query)
        assert found == {
            "id": referral,
            "referral_id": referral,
            "organization": OSH,
            "fact": "referral.submitted",
            "admitted_at": "2026-03-01T12:00:00Z",
            "published": False,
            "own": True,
        }
    publish(bench)
    assert [one["published"] for one in find(search, OSH, id=referral)[0]] == [True]


@pytest.mark.parametrize("key", [None, "tuesday"])
def test_command_is_found_with_its_referral_whether_it_had_a_key(
    bench: IntakeBench, search: SubmissionSearch, key: str | None
) -> None:
    referral = bench.submit()
    submission = report(bench, referral, MOSCOW, key)
    (found,), _ = find(search, MOSCOW, id=submission)
    assert (found["referral_id"], found["fact"]) == (referral, "progress.submitted")
    if key is not None:
        assert find(search, MOSCOW, key=key)[0] == [found]
    # With a referral's id each party finds its own submissions about it.
    assert [one["id"] for one in find(search, MOSCOW, id=referral)[0]] == [submission]
    assert [one["id"] for one in find(search, OSH, id=referral)[0]] == [referral]


def test_submission_is_found_by_staff_whose_read_is_stated_and_by_nobody_else(
    bench: IntakeBench, search: SubmissionSearch
) -> None:
    referral = bench.submit(claim("monday", b"{}"))
    submission = report(bench, referral, MOSCOW)
    for query in ({"id": referral}, {"id": submission}, {"key": "monday"}):
        assert find(search, STRANGER, **query) == ([], NOTHING_READ)
    items, read = find(search, "kg.coordinator", "coordinator", id=referral)
    assert [(one["id"], one["own"]) for one in items] == [(referral, False), (submission, False)]
    assert read == Read.of_list([referral], {"id": referral})
    assert find(search, "kg.coordinator", "coordinator", key="monday")[0] == []
    items, read = find(search, "kg.coordinator", "coordinator", key="monday", organization=OSH)
    assert len(items) == 1
    assert read == Read.of_list([referral], {"organization": OSH}), "the key is free text"


def test_offer_leads_to_the_submissions_about_its_referral(
    bench: IntakeBench, search: SubmissionSearch
) -> None:
    referral = bench.submit()
    with bench.database.write() as transaction:
        SqlAdmissionStore().note_offers(transaction, [(OFFER, referral, MOSCOW)])
    assert [one["id"] for one in find(search, OSH, id=OFFER)[0]] == [referral]
    assert find(search, MOSCOW, id=OFFER)[0] == []
    assert find(search, STRANGER, id=OFFER)[0] == []
    submission = report(bench, referral, MOSCOW)
    assert [one["id"] for one in find(search, MOSCOW, id=OFFER)[0]] == [submission]


def test_refused_submission_and_unused_key_are_not_found(
    bench: IntakeBench, search: SubmissionSearch
) -> None:
    with pytest.raises(Refused):
        bench.submit(claim("monday", b"{}"), to="kg.nobody")
    assert find(search, OSH, key="monday")[0] == []
    assert find(search, OSH, id=new_id())[0] == []


def test_key_of_a_batch_finds_its_lines(bench: IntakeBench, search: SubmissionSearch) -> None:
    client = ApiClient(bench, OSH)
    line = json.dumps(document()).encode()
    lines = b"\n".join((line, b"", json.dumps(document(urgency="routine")).encode()))
    admitted = [line["id"] for line in client.refer_many(lines, "whole") if "id" in line]
    assert len(admitted) == 2
    assert sorted(one["id"] for one in find(search, OSH, key="whole")[0]) == sorted(admitted)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({}, "/id"),
        ({"id": new_id(), "key": "k"}, "/id"),
        ({"id": "x"}, "/id"),
        ({"key": "k", "organization": "x"}, "/organization"),
        ({"key": "k", "organization": MOSCOW}, "/organization"),
    ],
)
def test_refused_query_names_its_parameter(
    search: SubmissionSearch, query: dict[str, str], pointer: str
) -> None:
    with pytest.raises(Refused) as refused:
        find(search, OSH, **query)
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_commands_are_forgotten_with_the_keys_and_referrals_are_not(
    bench: IntakeBench, search: SubmissionSearch
) -> None:
    referral = bench.submit(claim("monday", b"{}"))
    submission = report(bench, referral, MOSCOW, "tuesday")
    kept = report(bench, referral, MOSCOW)
    with bench.database.write() as transaction:
        later = update(COMMANDS).where(COMMANDS.c.id == kept)
        transaction.execute(later.values(submitted_at=NOON + dt.timedelta(days=1)))
    bench.handlers.commits.forget_old_keys(NOON + IDEMPOTENCY_KEYS_KEPT + dt.timedelta(seconds=1))
    assert find(search, MOSCOW, id=submission)[0] == []
    assert [one["id"] for one in find(search, "ann", "auditor", id=referral)[0]] == [referral, kept]
    assert bench.count(SUBMISSIONS) == 1
