"""`kopuro coordination` and `kopuro referral explain --why-not`: queues, candidates and acts."""

from __future__ import annotations

import datetime as dt
import io
import re
from pathlib import Path
from typing import Any

import pytest

from contracts.codes import Vetting
from kopuro_client import Kopuro
from kopuro_client.commands.coordination_network import wish_phrase
from kopuro_client.commands.coordination_queue import show_queue, show_queue_heading, waiting
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.nearest_organizations import nearest_organizations
from kopuro_client.commands.output import Output
from kopuro_client.commands.queue_words import CHANGES
from kopuro_client.commands.referral_words import FIELDS, STEPS
from kopuro_client.commands.rule_sentences import (
    BY_STANDING,
    OVERRIDABLE,
    SENTENCES,
    TO_SENDER,
    failed_rules,
    sentence_of,
)
from kopuro_client.records import Rule
from services.routing.domain.capacity_rules import WITHDRAWN_TOO_OFTEN
from services.routing.domain.consequences import CONSEQUENCES
from services.routing.domain.rules import COORDINATOR_MAY_OVERRIDE
from services.routing.domain.wishes import ChangeKind
from tests.unit.client.commands.conftest import Run, answering
from tests.unit.client.fake_hub import FakeHub, Response, json_response

ID = "0199a0de-0000-7000-8000-000000000001"
DOMAIN = Path(__file__).parents[4] / "services" / "routing" / "domain"
ITEM: dict[str, Any] = {
    "id": ID,
    "status": "offered",
    "urgency": "emergency",
    "needs": ["legal.wage_claim", "basic_needs.transport_home", "health.primary_care"],
    "region": "RU-MOW",
    "sender": "kg.osh-legal-aid",
    "submitted_at": "2026-05-01T09:00:00Z",
    "since": "2026-05-01T09:00:00Z",
    "reason": "half_of_answer_time_passed",
    "waits_for": ["ru.moscow-migrant-union", "ru.moscow-centre-for-migrants"],
    "deadline": "2026-05-01T10:00:00Z",
}
REFERRAL: dict[str, Any] = {
    "id": ID,
    "sender": "kg.osh-legal-aid",
    "status": "offered",
    "acceptor": None,
    "outcome": None,
    "submitted_at": "2026-05-01T09:00:00Z",
    "updated_at": "2026-05-01T09:00:00Z",
    "facts": {"needs": ["legal.wage_claim"], "urgency": "urgent", "region": "RU-MOW"},
    "offers": [
        {
            "id": "0199a0de-0000-7000-8000-00000000000a",
            "organization": "ru.moscow-centre",
            "state": "open",
            "opened_at": "2026-05-01T09:00:01Z",
            "deadline": "2026-05-02T09:00:01Z",
            "rank": 1,
            "reason": None,
        }
    ],
    "timeline": [],
}


def rule(name: str, reason: str | None = None, **detail: Any) -> Rule:
    return {"rule": name, "passed": reason is None, "reason": reason, "detail": detail}


CANDIDATES: dict[str, Any] = {
    "referral_id": ID,
    "organization": "ru.far",
    "checked_at": "2026-05-01T09:30:00Z",
    "policy_version": "2026-1",
    "directory_version": 12,
    "candidates": [
        {
            "organization": "ru.far",
            "service": "legal",
            "eligible": False,
            "capacity": "capacity",
            "score": None,
            "rank": None,
            "rules": [
                rule("organization_active"),
                rule("area_served", "out_of_area", region="RU-MOW"),
                rule("language_shared", "no_common_language", spoken=["uz"]),
            ],
            "contributions": [],
        }
    ],
    "nobody": None,
}
ADDRESS = f"/routing/v1/coordination/{ID}"


def test_queue_lists_each_kind_within_80_columns(hub: FakeHub, run: Run) -> None:
    hub.script(
        "GET",
        "/routing/v1/coordination/queue",
        json_response({"items": [ITEM], "next": "c"}),
        json_response({"items": [], "next": None}),
    )
    ran = run("coordination", "queue", "--as", "coordinator")
    assert ran.code == 0
    assert [
        line for line in ran.out.splitlines() if line and line.split(":")[0].replace(" ", "").isalpha()
    ] == [
        "emergency: 1 or more",
        "acceptor suspended: 0",
        "overdue: 0",
        "silent: 0",
        "unplaced: 0",
    ]
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "no answer after half of the time" in " ".join(ran.out.split())
    assert ran.err == "more emergency: --after c\n"


def test_queue_says_how_long_the_person_and_the_cause_have_waited() -> None:
    out, now = io.StringIO(), dt.datetime(2026, 5, 1, 9, 40, tzinfo=dt.UTC)
    item: Any = {**ITEM, "since": "2026-05-01T09:31:00Z", "waits_for": ["ru.a-long-name-of-an-asked-one"]}
    later: Any = {**item, "reason": "of_tomorrow"}
    show_queue(Output(as_json=False, stdout=out), [item, later], now, "en")
    lines = out.getvalue().splitlines()
    assert lines[:4] == [
        f"{ID} emergency, Moscow, waiting 40 min",
        "    unpaid wages, transport home, primary health care, sent by kg.osh-legal-aid:",
        "    asked 9 min ago, no answer after half of the time; waits for",
        "    ru.a-long-name-of-an-asked-one, until 2026-05-01 10:00:00Z",
    ]
    assert "of_tomorrow, since 2026-05-01 09:31:00Z" in " ".join(" ".join(lines[4:]).split())
    assert "2026-05-01 10:00:00Z" in out.getvalue().split("of_tomorrow")[1]


def test_queue_names_the_suspended_acceptor_and_no_next_step() -> None:
    out, now = io.StringIO(), dt.datetime(2026, 5, 1, 9, 40, tzinfo=dt.UTC)
    item: Any = {
        **ITEM,
        "since": "2026-05-01T09:31:00Z",
        "reason": "acceptor_suspended",
        "acceptor": "ru.one",
        "waits_for": [],
        "deadline": None,
    }
    show_queue(Output(as_json=False, stdout=out), [item], now, "en")
    text = " ".join(out.getvalue().split())
    assert text.endswith(
        "ru.one, which accepted it, has been suspended or inactive since 2026-05-01 09:31:00Z"
    )


def test_queue_names_the_whole_of_a_part() -> None:
    out, now = io.StringIO(), dt.datetime(2026, 5, 1, 9, 40, tzinfo=dt.UTC)
    item: Any = {**ITEM, "part_of": "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"}
    show_queue(Output(as_json=False, stdout=out), [item], now, "en")
    assert "; part of 01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01" in " ".join(out.getvalue().split())


@pytest.mark.parametrize(
    ("language", "heading", "cause"),
    [
        ("ru", "без ответа: 1", "предложено 9 мин назад, прошла половина срока без ответа"),
        ("ky", "жоопсуз: 1", "9 мүн мурун сунушталган, мөөнөттүн жарымы жоопсуз өттү"),
    ],
)
def test_queue_is_printed_in_the_requested_language(language: str, heading: str, cause: str) -> None:
    out, now = io.StringIO(), dt.datetime(2026, 5, 1, 9, 40, tzinfo=dt.UTC)
    item: Any = {**ITEM, "since": "2026-05-01T09:31:00Z"}
    output = Output(as_json=False, stdout=out)
    show_queue_heading(output, "silent", {"items": [item], "next": None}, language)
    show_queue(output, [item], now, language)
    text = " ".join(out.getvalue().split())
    assert text.startswith(heading)
    assert cause in text


def test_queue_of_one_kind_sends_its_filters(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/routing/v1/coordination/queue", json_response({"items": [ITEM], "next": None}))
    filters = ("--region", "RU", "--need", "legal", "--organization", "ru.one", "--limit", "5")
    assert run("coordination", "queue", "--kind", "silent", *filters, "--as", "coordinator").code == 0
    (request,) = hub.requests_to("/routing/v1/coordination/queue")
    assert request.query == {
        "kind": "silent",
        "region": "RU",
        "need": "legal",
        "organization": "ru.one",
        "limit": "5",
    }


def _unknown(hub: FakeHub) -> None:
    problem = {"type": "urn:kopuro:problem:not-found", "title": "Not found", "detail": "No such record."}
    hub.script("GET", "/directory/v1/organizations/ru.nobody", json_response(problem, status=404))


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/routing/v1/coordination/queue", ("coordination", "queue")),
        ("/routing/v1/coordination/queue", ("coordination", "queue", "--kind", "silent")),
        (f"/routing/v1/coordination/{ID}/candidates", ("coordination", "candidates", ID)),
        ("/audit/v1/history", ("history",)),
    ],
)
def test_empty_list_about_an_unknown_organization_is_a_usage_error(
    hub: FakeHub, run: Run, path: str, command: tuple[str, ...]
) -> None:
    empty = {**CANDIDATES, "candidates": [], "nobody": None, "items": [], "next": None}
    hub.script("GET", path, *[json_response(empty)] * 4)
    _unknown(hub)
    ran = run(*command, "--organization", "ru.nobody", "--as", "coordinator")
    assert (ran.code, ran.out) == (2, "")
    assert "the directory has no organisation ru.nobody" in ran.err


MISTYPED = "ru.moskow-centre"
KNOWN = [{"id": one} for one in ("ru.far", "ru.moscow-centre", "ru.moscow-centre-two", "ru.moscow-union")]


def unknown_organization(hub: FakeHub, known: list[dict[str, str]] = KNOWN) -> None:
    """Answer as a directory that has no MISTYPED."""
    hub.script("GET", f"/directory/v1/organizations/{MISTYPED}", problem_response("not-found", 404))
    hub.script("GET", "/directory/v1/organizations", json_response({"items": known, "next": None}))


def problem_response(slug: str, status: int) -> Response:
    body = {"type": f"urn:kopuro:problem:{slug}", "title": "T", "status": status, "detail": "D."}
    return json_response(body, status=status)


@pytest.mark.parametrize(
    "line",
    [
        ("coordination", "queue", "--kind", "silent", "--organization", MISTYPED),
        ("coordination", "candidates", ID, "--organization", MISTYPED),
        ("referral", "explain", ID, "--why-not", MISTYPED),
        ("coordination", "place", ID, MISTYPED, "--yes"),
        ("organization", "show", MISTYPED),
        ("organization", "suspend", MISTYPED, "--reason", "no_answer", "--yes"),
        ("organization", "withdraw-approval", MISTYPED, "clinic", "--reason", "service_changed", "--yes"),
    ],
)
def test_refusal_of_an_unknown_organization_names_the_nearest_ids(
    hub: FakeHub, run: Run, line: tuple[str, ...]
) -> None:
    unknown_organization(hub)
    empty = {**CANDIDATES, "candidates": [], "nobody": None}
    hub.script("GET", f"{ADDRESS}/candidates", json_response(empty))
    hub.script("GET", "/routing/v1/coordination/queue", json_response({"items": [], "next": None}))
    hub.script("POST", f"{ADDRESS}/offer", problem_response("unknown-organization", 422))
    ran = run(*line, "--as", "coordinator")
    assert ran.code in (2, 3)
    said = f"the directory has no organisation {MISTYPED}; the nearest: ru.moscow-centre"
    assert said in " ".join(ran.err.split())
    assert "ru.far" not in ran.err


@pytest.mark.parametrize("text", ["r.moscow-centre", "R.MOSCOW-CENTRE"])
def test_nearest_ids_are_found_if_the_directory_refuses_the_country(
    hub: FakeHub, client: Kopuro, text: str
) -> None:
    listed = json_response({"items": KNOWN, "next": None})
    hub.script("GET", "/directory/v1/organizations", problem_response("invalid-request", 400), listed)
    assert nearest_organizations(client, text)[0] == "ru.moscow-centre"


def test_beginning_of_an_id_finds_the_whole_id_before_like_ones(hub: FakeHub, client: Kopuro) -> None:
    known = [{"id": one} for one in ("ru.primark", "ru.primorye-seafarers-house", "ru.far")]
    hub.script("GET", "/directory/v1/organizations", json_response({"items": known, "next": None}))
    assert nearest_organizations(client, "ru.primor") == ["ru.primorye-seafarers-house"]


@pytest.mark.parametrize("known", [[], [{"id": "kz.other"}]])
def test_refusal_without_a_like_organization_names_none(
    hub: FakeHub, run: Run, known: list[dict[str, str]]
) -> None:
    unknown_organization(hub, known)
    err = run("organization", "show", MISTYPED, "--as", "coordinator").err
    assert f"the directory has no organisation {MISTYPED}." in err
    assert "nearest" not in err


def test_refusal_about_something_else_stays_as_the_hub_said_it(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/directory/v1/organizations/ru.far", json_response({"id": "ru.far"}))
    hub.script("POST", f"{ADDRESS}/nudge", problem_response("not-found", 404))
    line = ("coordination", "nudge", ID, "--reason", "no_answer", "--organization", "ru.far", "--yes")
    err = run(*line, "--as", "coordinator").err
    assert "D." in err
    assert "directory" not in err
    assert hub.requests_to("/directory/v1/organizations") == []


def test_empty_queue_of_a_known_organization_is_shown(hub: FakeHub, run: Run) -> None:
    empty = json_response({"items": [], "next": None})
    hub.script("GET", "/routing/v1/coordination/queue", *[empty] * 4)
    hub.script("GET", "/directory/v1/organizations/ru.one", json_response({"id": "ru.one"}))
    ran = run("coordination", "queue", "--organization", "ru.one", "--as", "coordinator")
    assert ran.code == 0
    assert ran.out.startswith("emergency: 0")


def test_cursor_without_a_kind_is_refused_before_anything_is_sent(hub: FakeHub, run: Run) -> None:
    ran = run("coordination", "queue", "--after", "c", "--as", "coordinator")
    assert (ran.code, hub.requests_to("/routing/v1/coordination/queue")) == (2, [])


@pytest.mark.parametrize(
    ("minutes", "text"), [(0, "0 min"), (-5, "0 min"), (59, "59 min"), (125, "2 h 5 min"), (4565, "3 d 4 h")]
)
def test_waiting_time_has_its_two_largest_units(minutes: int, text: str) -> None:
    since = dt.datetime(2026, 5, 1, 9, tzinfo=dt.UTC)
    assert waiting("2026-05-01T09:00:00Z", since + dt.timedelta(minutes=minutes), "en") == text


@pytest.mark.parametrize(
    ("act", "options", "body"),
    [
        ("nudge", (), {}),
        ("extend", ("--until", "2026-05-03T09:00:00Z"), {"until": "2026-05-03T09:00:00Z"}),
        ("move-on", ("--organization", "ru.moscow-centre"), {"organization": "ru.moscow-centre"}),
    ],
)
def test_act_shows_whom_it_affects_and_asks(
    hub: FakeHub, run: Run, terminal: io.StringIO, act: str, options: tuple[str, ...], body: dict[str, str]
) -> None:
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(REFERRAL))
    hub.script("POST", f"{ADDRESS}/{act}", json_response({"id": "s1", "status": "submitted"}, status=202))
    answering(terminal, "n")
    line = ("coordination", act, ID, "--reason", "no_answer", *options, "--as", "coordinator")
    ran = run(*line)
    assert (ran.code, ran.out, hub.requests_to(f"{ADDRESS}/{act}")) == (0, "", [])
    assert "ru.moscow-centre (until 2026-05-02 09:00:01Z): " in ran.err
    terminal.seek(0)
    terminal.truncate()
    answering(terminal, "y")
    assert run(*line).out == "s1\n"
    (request,) = hub.requests_to(f"{ADDRESS}/{act}")
    (seen,) = [offer["id"] for offer in REFERRAL["offers"] if offer["state"] == "open"]
    assert request.json() == {"reason": "no_answer", "offers": [seen], **body}
    assert request.headers["idempotency-key"]


def test_act_without_a_terminal_shows_whom_it_affects_and_requires_yes(hub: FakeHub, run: Run) -> None:
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(REFERRAL))
    hub.script("POST", f"{ADDRESS}/nudge", json_response({"id": "s1", "status": "submitted"}, status=202))
    line = ("coordination", "nudge", ID, "--reason", "no_answer", "--as", "coordinator")
    ran = run(*line)
    assert ran.code == 2
    assert ran.err.index("ru.moscow-centre (until 2026-05-02 09:00:01Z)") < ran.err.index("add --yes")
    assert hub.requests_to(f"{ADDRESS}/nudge") == []
    assert run(*line, "--yes").out == "s1\n"


@pytest.mark.parametrize("is_older", [False, True])
def test_place_shows_what_it_revokes_and_overrides(
    hub: FakeHub, run: Run, terminal: io.StringIO, is_older: bool
) -> None:
    """It states the rules that it has shown, unless the hub would refuse a request with this member."""
    found = CANDIDATES if is_older else {**CANDIDATES, "acceptor": None, "may_be_placed": True}
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(REFERRAL))
    hub.script("GET", f"{ADDRESS}/candidates", json_response(found))
    hub.script("POST", f"{ADDRESS}/offer", json_response({"id": "s1", "status": "submitted"}, status=202))
    answering(terminal, "y")
    ran = run("coordination", "place", ID, "ru.far", "--reason", "no_answer", "--as", "coordinator")
    assert ran.out == "s1\n"
    assert "ru.moscow-centre (until 2026-05-02 09:00:01Z): will no longer be asked" in ran.err
    assert "Its service does not cover the region: Moscow." in ran.err
    (request,) = hub.requests_to(f"{ADDRESS}/offer")
    (seen,) = [offer["id"] for offer in REFERRAL["offers"] if offer["state"] == "open"]
    assert request.json() == {
        "organization": "ru.far",
        "reason": "no_answer",
        "offers": [seen],
        **({} if is_older else {"overridden": ["area_served", "language_shared"]}),
    }


@pytest.mark.parametrize("act", ["move-on", "place"])
def test_act_on_an_acceptance_says_that_the_acceptor_loses_the_referral(
    hub: FakeHub, run: Run, act: str
) -> None:
    accepted = [REFERRAL["offers"][0] | {"state": "accepted"}]
    held = {**REFERRAL, "status": "accepted", "acceptor": "ru.moscow-centre", "offers": accepted}
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(held))
    hub.script("GET", f"{ADDRESS}/candidates", json_response(CANDIDATES))
    others = ("ru.far",) if act == "place" else ()
    ran = run("coordination", act, ID, *others, "--reason", "no_answer", "--as", "coordinator")
    assert "ru.moscow-centre (accepted): loses the referral and the access to its case\n" in ran.err
    assert "no longer be asked" not in ran.err


@pytest.mark.parametrize("act", ["move-on", "place"])
@pytest.mark.parametrize(
    ("overdue_since", "vetting", "is_kept"),
    [(None, "vetted", True), (None, "suspended", False), ("2026-05-01T10:00:00Z", "vetted", False)],
)
def test_act_that_would_take_a_referral_from_an_acceptor_in_time_says_that_the_hub_will_refuse(
    hub: FakeHub, run: Run, act: str, overdue_since: str | None, vetting: str, is_kept: bool
) -> None:
    accepted = [REFERRAL["offers"][0] | {"state": "accepted"}]
    held = {**REFERRAL, "status": "accepted", "acceptor": "ru.moscow-centre", "offers": accepted}
    answer = json_response({**held, "overdue_since": overdue_since})
    hub.script("GET", f"/intake/v1/referrals/{ID}", answer)
    record = {"id": "ru.moscow-centre", "vetting": vetting, "active": True}
    hub.script("GET", "/directory/v1/organizations/ru.moscow-centre", json_response(record))
    hub.script("GET", f"{ADDRESS}/candidates", json_response(CANDIDATES))
    others = ("ru.far",) if act == "place" else ()
    err = run("coordination", act, ID, *others, "--reason", "no_answer", "--as", "coordinator").err
    refusal = "ru.moscow-centre has missed no report and is not suspended: the hub will refuse\n"
    assert (refusal in err) is is_kept
    assert ("loses the referral" in err) is not is_kept
    assert ("ru.far: will be asked" in err) is (act == "place" and not is_kept)


@pytest.mark.parametrize("status", ["offered", "accepted", "completed"])
def test_place_says_that_the_hub_will_refuse_the_holder_and_a_referral_that_has_ended(
    hub: FakeHub, run: Run, status: str
) -> None:
    state = "open" if status == "offered" else "accepted"
    found = {
        **REFERRAL,
        "status": status,
        "acceptor": None if status == "offered" else "ru.far",
        "offers": [REFERRAL["offers"][0] | {"state": state, "organization": "ru.far"}],
        "overdue_since": "2026-05-01T10:00:00Z",
    }
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(found))
    hub.script("GET", f"{ADDRESS}/candidates", json_response(CANDIDATES))
    err = run("coordination", "place", ID, "ru.far", "--reason", "other", "--as", "coordinator").err
    ended = "the referral has ended: the hub will refuse\n"
    has_it = "ru.far has this referral or an open offer of it already: the hub will refuse\n"
    assert (ended in err, has_it in err) == (status == "completed", status != "completed")
    assert "will be asked" not in err
    assert "loses the referral" not in err
    assert "no longer be asked" not in err


@pytest.mark.parametrize("act", ["nudge", "move-on"])
def test_act_on_a_referral_that_nobody_has_says_that_the_hub_will_refuse(
    hub: FakeHub, run: Run, act: str
) -> None:
    unplaced = {**REFERRAL, "status": "unplaced", "offers": []}
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(unplaced), json_response(REFERRAL))
    line = ("coordination", act, ID, "--reason", "no_answer", "--as", "coordinator")
    warning = "no organisation has this referral now: the hub will refuse\n"
    assert warning in run(*line).err
    assert warning not in run(*line).err


def test_end_of_each_alert_is_named(hub: FakeHub, run: Run) -> None:
    entries = [
        {"time": "2026-05-01T09:05:00Z", "fact": "alert.closed", "organization": None, "detail": detail}
        for detail in (
            {"message_type": "kopuro.referral.overdue.v1", "by": "kg.coordinator"},
            {"message_type": "kopuro.referral.acceptor_suspended.v1"},
        )
    ]
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response({**REFERRAL, "timeline": entries}))
    shown = " ".join(run("coordination", "show", ID, "--as", "coordinator").out.split())
    assert "an alert to the coordinators was closed (about an overdue report, by kg.coordinator)" in shown
    assert "an alert to the coordinators was closed (about a suspended or inactive acceptor)" in shown


UNREADABLE = {
    "time": "2026-05-01T09:05:00Z",
    "fact": "case.unreadable",
    "organization": "ru.moscow-centre",
    "detail": {"replace_by": "2026-05-01T10:00:00Z"},
}


@pytest.mark.parametrize(
    ("members", "turn"),
    [
        (
            {"offers": [REFERRAL["offers"][0] | {"deadline": "9999-01-01T00:00:00Z"}]},
            "It is the turn of ru.moscow-centre, since 2026-05-01 09:00:01Z, until 9999-01-01 00:00:00Z: The "
            "offer waits for an answer.",
        ),
        # The acceptor waits for the sender.
        (
            {"status": "accepted", "acceptor": "ru.moscow-centre", "timeline": [UNREADABLE]},
            "It is the turn of kg.osh-legal-aid, since 2026-05-01 09:05:00Z, until 2026-05-01 10:00:00Z: The "
            "acceptor cannot read the case: the sender must send it again.",
        ),
        (
            {"status": "completed", "acceptor": "ru.moscow-centre"},
            "Nobody has to act, since 2026-05-01 09:00:00Z: The referral has ended.",
        ),
    ],
)
def test_show_names_whose_turn_it_is(hub: FakeHub, run: Run, members: dict[str, Any], turn: str) -> None:
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(REFERRAL | members))
    ran = run("coordination", "show", ID, "--as", "coordinator")
    assert " ".join(ran.out.split("\n\n")[-1].split()) == turn
    translated = run("coordination", "show", ID, "--as", "coordinator", "--language", "ky").out
    assert translated.split("\n\n")[-1].startswith(("Кезек", "Эч кандай"))
    assert ran.err == f"every hop, and what to do next: kopuro trace {ID}\n"


@pytest.mark.parametrize(
    "line", [("referral", "explain", ID, "--why-not", "ru.far"), ("coordination", "candidates", ID)]
)
def test_excluded_organization_has_a_sentence_for_each_failed_rule(
    hub: FakeHub, run: Run, line: tuple[str, ...]
) -> None:
    hub.script("GET", f"{ADDRESS}/candidates", json_response(CANDIDATES))
    assert run(*line, "--as", "coordinator").out.splitlines()[1:] == [
        "",
        "Excluded:",
        "- ru.far, service legal; a coordinator may place it there",
        "    Its service does not cover the region: Moscow.",
        "    It speaks none of the person's languages and has no interpreter; it speaks",
        "    Uzbek (Latin script).",
    ]
    kyrgyz = run(*line, "--language", "ky", "--as", "coordinator").out
    assert "аймакты камтыбайт: Москва." in kyrgyz
    assert "Excluded" not in kyrgyz
    assert run(*line, "--json", "--as", "coordinator").json() == CANDIDATES
    assert run(*line, "--language", "fr", "--as", "coordinator").code == 2


@pytest.mark.parametrize(
    ("members", "placeable"),
    [
        ({"acceptor": "ru.near"}, ["ru.far"]),
        ({"acceptor": "ru.near", "may_be_placed": True}, ["ru.far"]),
        ({"acceptor": "ru.near", "may_be_placed": False}, []),
        ({"acceptor": None, "may_be_placed": False}, []),
        ({"acceptor": None, "may_be_placed": True}, ["ru.far", "ru.near"]),
    ],
)
def test_candidate_is_not_marked_for_a_placement_that_the_hub_refuses(
    hub: FakeHub, run: Run, members: dict[str, Any], placeable: list[str]
) -> None:
    [far] = CANDIDATES["candidates"]
    found = {**CANDIDATES, "candidates": [far, {**far, "organization": "ru.near"}], **members}
    hub.script("GET", f"{ADDRESS}/candidates", json_response(found))
    shown = run("coordination", "candidates", ID, "--as", "coordinator").out
    marked = re.findall(r"- (\S+), service legal; a coordinator may place it there", shown)
    assert marked == placeable
    assert ("Accepted by ru.near." in shown) is (members["acceptor"] is not None)


@pytest.mark.parametrize("elsewhere", [0, 10])
def test_candidates_name_the_command_that_lists_who_offers_the_need_elsewhere(
    hub: FakeHub, run: Run, elsewhere: int
) -> None:
    nobody = {
        "reason": "need_not_offered_in_region",
        "need": "health.primary_care",
        "region": "RU-CHU",
        "organization": None,
        "elsewhere": elsewhere,
    }
    hub.script(
        "GET", f"{ADDRESS}/candidates", json_response({**CANDIDATES, "candidates": [], "nobody": nobody})
    )
    ran = run("coordination", "candidates", ID, "--as", "coordinator")
    line = "kopuro organization list --need health.primary_care"
    assert (ran.code, line in ran.err) == (0, elsewhere > 0)


@pytest.mark.parametrize(
    ("language", "heading", "both", "nobody"),
    [
        (
            "en",
            "No organisation could take all needs now. In parts:",
            "- unpaid wages, work and training: ru.far, ru.near",
            "- children: nobody",
        ),
        (
            "ru",
            "Сейчас ни одна организация не может взять на себя все потребности. По частям:",
            "- невыплата заработной платы, работа и обучение: ru.far, ru.near",
            "- дети: никто",
        ),
        (
            "ky",
            "Азыр бир да уюм бардык муктаждыктарды камтый албайт. Бөлүп алганда:",
            "- төлөнбөгөн эмгек акы, жумуш жана окуу: ru.far, ru.near",
            "- балдар: эч ким",
        ),
    ],
)
def test_candidates_say_who_could_take_which_needs(
    hub: FakeHub, run: Run, language: str, heading: str, both: str, nobody: str
) -> None:
    parts = [
        {"needs": ["legal.wage_claim", "work"], "organizations": ["ru.far", "ru.near"]},
        {"needs": ["children"], "organizations": []},
    ]
    hub.script("GET", f"{ADDRESS}/candidates", json_response({**CANDIDATES, "parts": parts}))
    line = ("coordination", "candidates", ID, "--language", language, "--as", "coordinator")
    shown = run(*line).out.splitlines()
    first = shown.index(heading)
    assert shown[first + 1 : first + 3] == [both, nobody]


COVERS = [
    {"organization": "ru.far", "needs": ["legal.wage_claim"], "lacking": ["children"]},
    {"organization": "ru.near", "needs": ["legal.wage_claim", "children"], "lacking": []},
    {"organization": "ru.none", "needs": [], "lacking": ["legal.wage_claim", "children"]},
]


@pytest.mark.parametrize(
    ("language", "excluded", "eligible"),
    [
        ("en", "covers unpaid wages, but not children", "covers all needs"),
        (
            "ru",
            "охватывает: невыплата заработной платы; не охватывает: дети",
            "охватывает все потребности",
        ),
        ("ky", "камтыганы: төлөнбөгөн эмгек акы; камтыбаганы: балдар", "бардык муктаждыктарды камтыйт"),
    ],
)
def test_candidates_say_which_of_several_needs_each_covers(
    hub: FakeHub, run: Run, language: str, excluded: str, eligible: str
) -> None:
    [far] = CANDIDATES["candidates"]
    near = {**far, "organization": "ru.near", "eligible": True, "rank": 1, "score": 0.5}
    found = {**CANDIDATES, "candidates": [near, far], "covers": COVERS}
    hub.script("GET", f"{ADDRESS}/candidates", json_response(found))
    line = ("coordination", "candidates", ID, "--language", language, "--as", "coordinator")
    out = " ".join(run(*line).out.split())
    first, rest = out.split(" - ru.far, ", 1)
    assert eligible in first
    assert excluded not in first
    assert excluded in rest


def test_queue_says_which_of_several_needs_an_organisation_covers() -> None:
    item: Any = {**ITEM, "waits_for": ["ru.far", "ru.none"], "covers": COVERS}
    out, now = io.StringIO(), dt.datetime(2026, 5, 1, 9, 40, tzinfo=dt.UTC)
    show_queue(Output(as_json=False, stdout=out), [item], now, "en")
    text = " ".join(out.getvalue().split())
    assert (
        "waits for ru.far (covers unpaid wages, but not children), ru.none (covers none of the needs)" in text
    )


def test_place_shows_which_of_several_needs_the_organisation_covers(
    hub: FakeHub, run: Run, terminal: io.StringIO
) -> None:
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(REFERRAL))
    hub.script("GET", f"{ADDRESS}/candidates", json_response({**CANDIDATES, "covers": COVERS[:1]}))
    answering(terminal, "n")
    ran = run("coordination", "place", ID, "ru.far", "--as", "coordinator")
    assert "ru.far: will be asked" in ran.err
    assert "covers unpaid wages, but not children" in ran.err


def test_place_asks_nothing_about_an_organization_that_the_directory_does_not_have(
    hub: FakeHub, run: Run, terminal: io.StringIO
) -> None:
    unknown_organization(hub)
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(REFERRAL))
    hub.script("GET", f"{ADDRESS}/candidates", json_response({**CANDIDATES, "candidates": []}))
    answering(terminal, "y")
    ran = run("coordination", "place", ID, MISTYPED, "--as", "coordinator")
    assert (ran.code, hub.requests_to(f"{ADDRESS}/offer")) == (2, [])
    assert f"the directory has no organisation {MISTYPED}; the nearest: ru.moscow-centre" in ran.err
    assert "will be asked" not in ran.err


def test_place_says_that_the_hub_will_refuse_an_organization_without_services(
    hub: FakeHub, run: Run, terminal: io.StringIO
) -> None:
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(REFERRAL))
    hub.script("GET", f"{ADDRESS}/candidates", json_response({**CANDIDATES, "candidates": []}))
    hub.script("GET", "/directory/v1/organizations/ru.far", json_response({"id": "ru.far"}))
    answering(terminal, "n")
    err = run("coordination", "place", ID, "ru.far", "--reason", "other", "--as", "coordinator").err
    assert "ru.far offers no service: the hub will refuse\n" in err
    assert "asked" not in err


def test_candidates_say_who_could_take_all_needs(hub: FakeHub, run: Run) -> None:
    parts = [{"needs": ["legal.wage_claim", "work"], "organizations": ["ru.far"]}]
    hub.script("GET", f"{ADDRESS}/candidates", json_response({**CANDIDATES, "parts": parts}))
    out = run("coordination", "candidates", ID, "--as", "coordinator").out
    assert "Could take all needs:\n- unpaid wages, work and training: ru.far\n" in out


def test_candidate_with_a_rule_that_nobody_overrides_is_not_offered_for_placement(
    hub: FakeHub, run: Run, terminal: io.StringIO
) -> None:
    [candidate] = CANDIDATES["candidates"]
    unvetted = rule("organization_vetted", "not_vetted", vetting="applied")
    found = {**CANDIDATES, "candidates": [{**candidate, "rules": [*candidate["rules"], unvetted]}]}
    hub.script("GET", f"{ADDRESS}/candidates", json_response(found))
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(REFERRAL))
    assert "may place" not in run("coordination", "candidates", ID, "--as", "coordinator").out
    answering(terminal, "n")
    err = run("coordination", "place", ID, "ru.far", "--as", "coordinator").err
    assert "ru.far: the hub will refuse, because some of these rules cannot be overridden:" in err
    assert "will be asked" not in err
    assert "will no longer be asked" not in err
    assert OVERRIDABLE == COORDINATOR_MAY_OVERRIDE


def test_timeline_shows_times_to_the_second_and_the_sentence_of_a_problem(hub: FakeHub, run: Run) -> None:
    problem = {"type": "urn:kopuro:problem:conflict", "title": "Conflict", "status": 409, "detail": "Later."}
    detail = {"deadline": "2026-05-02T09:00:01.123456Z", "problem": problem}
    entry = {"time": "2026-05-01T09:00:01Z", "fact": "intervention.refused", "organization": None}
    timeline = {**REFERRAL, "timeline": [{**entry, "detail": detail}]}
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(timeline))
    out = run("coordination", "show", ID, "--as", "coordinator").out
    sentence = "a coordinator's act was refused (until 2026-05-02 09:00:01Z, the hub's response: Later.)"
    assert sentence in " ".join(out.split())


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "ru.moscow-centre answered too late, at 2026-05-03 09:00:00Z: it accepts"),
        ("ru", "ru.moscow-centre: ответ пришёл слишком поздно, 2026-05-03 09:00:00Z: принимает"),
        ("ky", "ru.moscow-centre өтө кеч жооп берди, 2026-05-03 09:00:00Z: кабыл алат"),
    ],
)
def test_show_says_that_an_answer_was_late_and_what_it_was(
    hub: FakeHub, run: Run, language: str, sentence: str
) -> None:
    [offer] = REFERRAL["offers"]
    late = {**offer, "state": "expired", "late_answer": "accept", "late_at": "2026-05-03T09:00:00Z"}
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response({**REFERRAL, "offers": [late]}))
    out = run("coordination", "show", ID, "--as", "coordinator", "--language", language).out
    assert sentence in " ".join(out.split())


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("en", ("Referral 0", "sender ", "organisation", "Timeline", "ru.moscow-centre declined")),
        ("ru", ("Направление 0", "отправитель ", "организация", "Что произошло", "ru.moscow-centre: отказ")),
        ("ky", ("Жолдомо 0", "жөнөтүүчү ", "уюм ", "Эмне болду", "ru.moscow-centre баш тартты")),
    ],
)
def test_show_has_its_fields_and_steps_in_the_chosen_language(
    hub: FakeHub, run: Run, language: str, lines: tuple[str, ...]
) -> None:
    known = {
        "time": "2026-05-01T12:00:00Z",
        "fact": "offer.declined",
        "organization": "ru.moscow-centre",
        "detail": {"reason": "no_capacity"},
    }
    unknown = {**known, "fact": "later.fact", "detail": None}
    found = json_response({**REFERRAL, "timeline": [known, unknown]})
    hub.script("GET", f"/intake/v1/referrals/{ID}", found)
    out = run("coordination", "show", ID, "--as", "coordinator", "--language", language).out
    assert [line for line in lines if line not in out] == []
    reasons = ("declined (no capacity)", "отказ (нет возможности", "баш тартты (кабыл алууга")
    assert any(reason in out for reason in reasons)
    assert "later.fact" in out


def test_every_field_and_step_has_each_language() -> None:
    for texts in (*FIELDS.values(), *STEPS.values()):
        assert len(texts) == len(LANGUAGES)
    for texts in STEPS.values():
        assert len({"{organization}" in text for text in texts}) == 1


def test_every_reason_of_a_rule_has_sentences() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in DOMAIN.glob("*_rules.py"))
    reasons = set(re.findall(r'reason="([a-z_]+)"', text)) | {"no_place", "share_used", WITHDRAWN_TOO_OFTEN}
    reasons |= {reason for reason, follows in CONSEQUENCES.items() if follows.concerns_person}
    assert reasons == SENTENCES.keys()
    every = (*SENTENCES.values(), *BY_STANDING.values(), *TO_SENDER.values())
    assert TO_SENDER.keys() <= SENTENCES.keys()
    assert all(len(set(sentences)) == len(LANGUAGES) for sentences in every)
    assert {standing for _, standing in BY_STANDING} == set(Vetting) - {Vetting.vetted}


@pytest.mark.parametrize(
    ("directory", "must_place"),
    [
        (json_response({"vetting": "vetted", "active": True}), False),
        (json_response({"vetting": "suspended", "active": True}), True),
        (json_response({"vetting": "vetted", "active": False}), True),
        (Response(status=503), True),
    ],
    ids=["readmitted", "suspended", "inactive", "unknown"],
)
def test_show_decides_the_turn_by_the_present_standing_of_a_suspended_acceptor(
    hub: FakeHub, run: Run, directory: Response, must_place: bool
) -> None:
    entry = {"organization": "ru.moscow-centre", "detail": None}
    timeline = [
        {"time": "2026-05-01T09:10:00Z", "fact": "offer.accepted", **entry},
        {"time": "2026-05-01T09:20:00Z", "fact": "referral.acceptor_suspended", **entry},
    ]
    accepted = {"status": "accepted", "acceptor": "ru.moscow-centre", "due_at": "2099-05-01T09:00:00Z"}
    hub.script(
        "GET", f"/intake/v1/referrals/{ID}", json_response({**REFERRAL, **accepted, "timeline": timeline})
    )
    hub.script("GET", "/directory/v1/organizations/ru.moscow-centre", directory)
    ran = run("coordination", "show", ID, "--as", "coordinator")
    assert ran.code == 0
    assert ("must place" in " ".join(ran.out.split())) == must_place, ran.out


@pytest.mark.parametrize(
    ("vetting", "sentences"),
    [
        ("applied", ("has not vetted it yet", "ещё не проверила", "текшере элек")),
        ("suspended", ("has suspended it", "приостановила", "токтоткон")),
        ("left", ("has left the network", "вышла из сети", "чыккан")),
    ],
)
def test_sentences_say_which_standing_excludes_and_deny_no_agreement_in_force(
    vetting: str, sentences: tuple[str, ...]
) -> None:
    rules = [
        rule("organization_vetted", "not_vetted", vetting=vetting),
        rule("agreement_in_force", "no_agreement", needs=["legal.wage_claim"]),
    ]
    candidate: Any = {**CANDIDATES["candidates"][0], "rules": rules}
    for language, sentence in zip(LANGUAGES, sentences, strict=True):
        standing, agreement = failed_rules(candidate, language)
        assert sentence in standing
        assert agreement != sentence_of(rules[1], language)
    assert (
        "(unpaid wages) names it, and agreements with all vetted organisations do not apply to it now."
        in (failed_rules(candidate)[1])
    )
    # For a vetted organisation the sentence is true: no agreement lets the sender do it.
    vetted: Any = {**candidate, "rules": rules[1:]}
    assert failed_rules(vetted) == ["No agreement lets the sender disclose this need to it: unpaid wages."]


def test_sentence_of_an_unknown_reason_is_its_code() -> None:
    assert sentence_of(rule("tone", "too_loud", level=11), "ky") == "tone: too_loud (level=11)"
    assert sentence_of(rule("area_served", "out_of_area"), "en") == "area_served: out_of_area"


CELL: dict[str, Any] = {
    "region": "RU-MOW",
    "need": "legal.wage_claim",
    "language": "ky",
    "services": 3,
    "fresh": 2,
    "answered": 40,
    "expired": 1,
    "unplaced": 7,
}


def change(kind: str, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "organization": None, "region": None, "need": None, "language": None, **fields}


def test_wishes_say_what_would_place_most_referrals(hub: FakeHub, run: Run) -> None:
    agreement = {
        "changes": [change("agreement", organization="ru.moscow-centre")],
        "referrals": 31,
        "emergencies": 2,
    }
    both = [
        change("interpreter", language="tg", region="RU-TYU"),
        change("places", need="legal", region="RU-TYU"),
    ]
    combined = {"changes": both, "referrals": 4, "emergencies": 0}
    page = {"considered": 40, "items": [agreement, combined], "next": None}
    hub.script("GET", "/routing/v1/coordination/wishes", json_response(page))
    lines = run("coordination", "wishes", "--as", "coordinator").out.splitlines()
    assert lines[1].split(maxsplit=2) == ["31", "2", "an agreement of the sender with ru.moscow-centre"]
    rest = "4 0 an interpreter in Tyumen Region: Tajik and places in Tyumen Region: legal help"
    assert " ".join(" ".join(lines[2:]).split()) == rest
    assert max(map(len, lines)) <= 80
    assert run("coordination", "wishes", "--json", "--as", "coordinator").json() == page


@pytest.mark.parametrize(
    ("language", "phrase"),
    [
        ("en", "ru.one lifts a condition of its service (sex, special categories)"),
        ("ru", "ru.one снимает условие своей услуги (пол, особые категории)"),
        ("ky", "ru.one уюмунун өз кызматынын шартын алып салышы (жынысы, өзгөчө категориялар)"),
    ],
)
def test_wish_names_the_conditions_to_lift(language: str, phrase: str) -> None:
    lifted: Any = change("eligibility", organization="ru.one", conditions=["sex", "special_categories"])
    assert wish_phrase({"changes": [lifted], "referrals": 1, "emergencies": 0}, language) == phrase


def test_wish_names_the_service_that_it_concerns() -> None:
    area: Any = change("area", organization="ru.one", service="clinic")
    wish: Any = {"changes": [area], "referrals": 1, "emergencies": 0}
    assert wish_phrase(wish, "en") == "ru.one serves the region (service clinic)"


def test_wish_names_conditions_and_service_in_one_pair_of_brackets() -> None:
    lifted: Any = change("eligibility", organization="ru.one", conditions=["sex"], service="duty")
    wish: Any = {"changes": [lifted], "referrals": 1, "emergencies": 0}
    assert wish_phrase(wish, "en") == "ru.one lifts a condition of its service (sex; service duty)"
    assert wish_phrase(wish, "ky").endswith(" (жынысы; duty кызматы)")


@pytest.mark.parametrize(
    ("kind", "language", "phrase"),
    [
        ("service", "en", "a service in Moscow: work and training (nobody offers it there)"),
        (
            "another_service",
            "en",
            "another service in Moscow: work and training (all that offer it there were asked or may not "
            "be asked)",
        ),
        ("service", "ru", "Москва: услуга, которую там никто не предлагает (работа и обучение)"),
        (
            "another_service",
            "ru",
            "Москва: ещё одна услуга (работа и обучение): все, кто предлагает её там, уже запрошены или не "
            "могут быть запрошены",
        ),
        ("service", "ky", "Москва: ал жерде эч ким сунуштабаган кызмат (жумуш жана окуу)"),
        (
            "another_service",
            "ky",
            "Москва: дагы бир кызмат (жумуш жана окуу): ал жерде сунуштагандардын баарына кайрылган же "
            "кайрылууга болбойт",
        ),
    ],
)
def test_wish_says_whether_anybody_offers_the_need(kind: str, language: str, phrase: str) -> None:
    wish: Any = {"changes": [change(kind, region="RU-MOW", need="work")], "referrals": 1, "emergencies": 0}
    assert wish_phrase(wish, language) == phrase


def test_queue_says_what_the_next_step_is() -> None:
    out, now = io.StringIO(), dt.datetime(2026, 5, 1, 9, 40, tzinfo=dt.UTC)
    show_queue(Output(as_json=False, stdout=out), [{**ITEM, "waits_for": []}], now, "en")  # type: ignore[typeddict-item]
    text = " ".join(out.getvalue().split())
    assert "the hub looks for an organisation again at 2026-05-01 10:00:00Z" in text


def test_wish_of_an_older_hub_names_no_condition() -> None:
    lifted: Any = change("eligibility", organization="ru.one")
    assert (
        wish_phrase({"changes": [lifted], "referrals": 1, "emergencies": 0}, "en")
        == "ru.one lifts a condition of its service"
    )


def test_every_kind_of_change_has_a_phrase() -> None:
    assert CHANGES.keys() == {kind.value for kind in ChangeKind}


def test_candidates_name_who_is_asked_now_and_until_when(hub: FakeHub, run: Run) -> None:
    [candidate] = CANDIDATES["candidates"]
    offers = [{"organization": candidate["organization"], "deadline": "2026-05-01T10:00:00Z"}]
    hub.script("GET", f"{ADDRESS}/candidates", json_response({**CANDIDATES, "open_offers": offers}))
    out = run("coordination", "candidates", ID, "--as", "coordinator").out
    assert f"Asked now:\n- {candidate['organization']}, until 2026-05-01 10:00:00Z\n" in out
    assert "may place" not in out
    assert "Excluded" not in out


def test_coverage_is_a_list_or_json_of_all_pages(hub: FakeHub, run: Run) -> None:
    other = {**CELL, "need": "legal"}
    longest = {**CELL, "need": "protection.repatriation_of_body", "language": "uz-Cyrl"}
    address = "/routing/v1/coordination/coverage"
    for first in (longest, CELL):
        hub.script(
            "GET",
            address,
            json_response({"items": [first], "next": "c"}),
            json_response({"items": [other], "next": None}),
        )
    line = ("coordination", "coverage", "--region", "RU-MOW", "--as", "coordinator")
    shown = run(*line).out.splitlines()
    assert shown[:4] == [
        "Moscow (RU-MOW)",
        "  Repatriation of a body (protection.repatriation_of_body)",
        "    Uzbek (Cyrillic script): services 3, with fresh capacity 2; offers answered",
        "      40, expired 1; referrals waiting 7",
    ]
    assert max(map(len, shown)) <= 80
    assert run(*line, "--json").json() == {"items": [CELL, other]}
    assert {request.query.get("region") for request in hub.requests_to(address)} == {"RU-MOW"}


@pytest.mark.parametrize(
    ("line", "query"),
    [
        (("coverage", "--region", "RU-MOW", "--lacking"), {"region": "RU-MOW", "lacking": "true"}),
        (("wishes", "--need", "legal", "--limit", "5"), {"need": "legal", "limit": "5"}),
    ],
)
def test_csv_is_the_answer_of_the_hub_byte_for_byte(
    hub: FakeHub, run: Run, line: tuple[str, ...], query: dict[str, str]
) -> None:
    address, content = f"/routing/v1/coordination/{line[0]}", '"need","count"\r\n"\'=1+1",\u041c\r\n'
    hub.script("GET", address, Response(status=200, body=content.encode()))
    assert run("coordination", *line, "--csv", "--as", "coordinator").out == content
    (sent,) = hub.requests_to(address)
    assert sent.query == {"format": "csv", **query}
