"""Invalid arguments are named in the words of the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

ID = "0199a0de-0000-7000-8000-000000000001"
COMMANDS = (
    ("coordination", "show"),
    ("coordination", "nudge", "--reason", "no_answer", "--yes"),
    ("story",),
    ("approvals", "show"),
)
PATHS = (
    ("GET", "/intake/v1/referrals/{}"),
    ("POST", "/routing/v1/coordination/{}/nudge"),
    ("GET", "/audit/v1/history/{}/story"),
    ("GET", "/directory/v1/approvals/{}"),
)


@pytest.mark.parametrize(("command", "place"), list(zip(COMMANDS, PATHS, strict=True)))
@pytest.mark.parametrize(("given", "code"), [("xyz", 2), (ID, 3)])
def test_id_of_another_form_is_named_as_the_argument_that_it_is(
    hub: FakeHub, run: Run, command: tuple[str, ...], place: tuple[str, str], given: str, code: int
) -> None:
    method, path = place
    hub.script(method, path.format(given), problem(404, "not-found", "No resource has this path."))
    ran = run(*command, given, "--as", "coordinator")
    name = "APPROVAL" if "approvals" in command else "REFERRAL"
    assert ran.code == code
    assert (f"{name} must be a lower-case UUID, such as " in ran.err) == (code == 2)


ORGANIZATION_FORM = "must be an organisation id"
SLUG_FORM = "must be a lower-case slug"


@pytest.mark.parametrize(
    ("line", "method", "path", "sentence"),
    [
        (
            "organization show BAD",
            "GET",
            "/directory/v1/organizations/BAD",
            f"ORGANIZATION {ORGANIZATION_FORM}",
        ),
        (
            "mailbox ack BAD",
            "POST",
            "/delivery/v1/mailbox/BAD/acknowledge",
            "MESSAGE must be a lower-case UUID",
        ),
        ("mailbox put-consumer BAD", "PUT", "/delivery/v1/mailbox/consumers/BAD", f"NAME {SLUG_FORM}"),
        ("mailbox delete-consumer BAD", "DELETE", "/delivery/v1/mailbox/consumers/BAD", f"NAME {SLUG_FORM}"),
        ("watch show BAD", "GET", "/directory/v1/watch/employers/BAD", "must be a lower-case UUID"),
        ("webhook show BAD", "GET", "/delivery/v1/webhooks/BAD", "must be a lower-case UUID"),
    ],
)
def test_part_of_a_path_is_named_as_the_argument_that_it_is(
    hub: FakeHub, run: Run, line: str, method: str, path: str, sentence: str
) -> None:
    hub.script(method, path, problem(404, "not-found", "No resource has this path."))
    ran = run(*line.split())
    assert ran.code == 2
    assert sentence in ran.err


# The line, the hub's name of the value, and the command's.
REFUSED = (
    (
        "mailbox list --consumer BAD",
        "GET",
        "/delivery/v1/mailbox",
        "invalid-parameter",
        "/consumer",
        "--consumer",
    ),
    ("mailbox list --type BAD", "GET", "/delivery/v1/mailbox", "invalid-parameter", "/type", "--type"),
    ("history --from BAD", "GET", "/audit/v1/history", "invalid-parameter", "/from", "--from"),
    ("history --after BAD", "GET", "/audit/v1/history", "invalid-cursor", "/after", "--after"),
    (
        f"referral explain {ID} --why-not BAD",
        "GET",
        f"/routing/v1/coordination/{ID}/candidates",
        "invalid-parameter",
        "/organization",
        "--why-not",
    ),
    (
        "coordination coverage --spoken BAD",
        "GET",
        "/routing/v1/coordination/coverage",
        "invalid-parameter",
        "/language",
        "--spoken",
    ),
    (
        f"coordination extend {ID} --until 2027-01-01T00:00:00Z --reason other --yes",
        "POST",
        f"/routing/v1/coordination/{ID}/extend",
        "invalid-submission",
        "/until",
        "--until",
    ),
    (
        "mailbox put-consumer own --type BAD",
        "PUT",
        "/delivery/v1/mailbox/consumers/own",
        "invalid-submission",
        "/types/0",
        "--type",
    ),
)


@pytest.mark.parametrize(
    ("line", "method", "path", "slug", "place", "option"), REFUSED, ids=lambda value: value
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_value_that_the_hub_refuses_is_named_as_the_option_that_it_is(
    hub: FakeHub,
    run: Run,
    line: str,
    method: str,
    path: str,
    slug: str,
    place: str,
    option: str,
    options: tuple[str, ...],
) -> None:
    errors = [{"pointer": place, "detail": "Must be better."}]
    status = 422 if slug == "invalid-submission" else 400
    hub.script(method, path, problem(status, slug, "Invalid", detail="A sentence.", errors=errors))
    ran = run(*line.split(), *options)
    assert ran.code == 2
    assert f"{option}: Must be better." in ran.err


def test_consumer_of_another_form_ends_the_listener_as_a_wrong_command_line(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/delivery/v1/mailbox/consumers", json_response({"items": [], "next": None}))
    hub.script(
        "PUT", "/delivery/v1/mailbox/consumers/BAD", problem(404, "not-found", "No resource has this path.")
    )
    ran = run("listen", "http://127.0.0.1:1/", "--consumer", "BAD")
    assert ran.code == 2
    assert f"--consumer {SLUG_FORM}" in ran.err


@pytest.mark.parametrize(
    ("line", "errors"),
    [
        ("mailbox list", ["/limit"]),  # the command's own value
        ("mailbox list --type offer.opened", ["/consumer"]),
        ("mailbox list --type offer.opened", ["/type", "/limit"]),
        ("mailbox list --type offer.opened", []),
    ],
)
def test_refusal_of_anything_else_than_a_given_value_stays_the_hubs(
    hub: FakeHub, run: Run, line: str, errors: list[str]
) -> None:
    listed = [{"pointer": place, "detail": "Must be better."} for place in errors]
    refusal = problem(400, "invalid-parameter", "Invalid", detail="A sentence.", errors=listed)
    hub.script("GET", "/delivery/v1/mailbox", refusal)
    ran = run(*line.split())
    assert ran.code == 3
    assert "refused: A sentence." in ran.err


def test_members_of_a_document_are_not_taken_for_options(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "referral.json"
    file.write_text("{}")
    errors = [{"pointer": "/consent/language", "detail": "Must be better."}]
    hub.script(
        "POST", "/intake/v1/referrals:preview", problem(422, "invalid-submission", "Invalid", errors=errors)
    )
    ran = run("referral", "preview", str(file), "--language", "ru")
    assert ran.code == 3
    assert "/consent/language" in ran.err


@pytest.mark.parametrize(
    "line",
    [("story", ID, "--language", "xx"), ("admin", "rotate", "foo", "."), ("story", ID, "--format", "x")],
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_value_that_is_not_a_choice_has_a_sentence_without_a_prefix(
    run: Run, line: tuple[str, ...], options: tuple[str, ...]
) -> None:
    ran = run(*line, *options)
    assert ran.code == 2
    sentence = " ".join(ran.err.replace("│", " ").split())  # a terminal's frame breaks lines
    assert "is not one of" in sentence
    assert "Value error" not in sentence


@pytest.mark.parametrize(
    "line",
    [
        ("coordination", "coverage"),
        ("coordination", "wishes"),
        ("coordination", "report"),
        ("coordination", "statistics"),
        ("organization", "statement"),
        ("statistics", "--by", "sex"),
    ],
)
def test_two_formats_are_refused_before_anything_is_sent(
    hub: FakeHub, run: Run, line: tuple[str, ...]
) -> None:
    ran = run(*line, "--csv", "--json")
    assert (ran.code, ran.out, hub.received) == (2, "", [])


def refused(pointer: str, detail: str, whole: str) -> Response:
    errors = [{"pointer": pointer, "detail": detail}]
    return problem(422, "invalid-submission", "Invalid", detail=whole, errors=errors)


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        ("RU-MOV", "; the nearest: RU-MO (Mordovia), RU-SMO (Smolensk Region), RU-MOW (Moscow)."),
        ("Moscow", "; the nearest: RU-MOW (Moscow)"),
        ("Москва", "; the nearest: RU-MOW (Moscow)"),
        ("Ош облусу", "; the nearest: KG-O (Osh Region)"),
        ("zzzzzzzzzz", "."),
    ],
)
def test_wrong_code_is_named_once_with_the_nearest_codes(
    hub: FakeHub, run: Run, value: str, nearest: str
) -> None:
    detail = "must be a code of the vocabulary 'regions'."
    whole = f"`region` {detail}"
    errors = [{"pointer": "/region", "detail": f"M{detail[1:]}"}]
    answer = problem(400, "invalid-parameter", "Invalid", detail=whole, errors=errors)
    hub.script("GET", "/routing/v1/coordination/coverage", answer)
    ran = run("coordination", "coverage", "--region", value, "--as", "coordinator")
    assert ran.code == 2
    assert f"--region: {value} is not a code of the vocabulary regions{nearest}" in ran.err
    assert ran.err.count("vocabulary") == 1


def test_refusal_of_a_file_names_the_file_the_member_and_the_nearest_codes(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "changes.json"
    file.write_text('{"services": [{"needs": ["legal.wage_clam"]}]}')
    detail = "Must be a code of the vocabulary 'needs'."
    where = "/services/0/needs/0"
    hub.script("GET", "/directory/v1/organizations/kg.osh", json_response({"revision": 7}))
    hub.script("PATCH", "/directory/v1/organizations/kg.osh", refused(where, detail, f"Correct {where}."))
    ran = run("organization", "update", "kg.osh", str(file))
    assert ran.code == 3
    assert f"refused: Correct {file}. [urn:kopuro:problem:invalid-submission]" in ran.err
    assert (
        f"{where}: legal.wage_clam is not a code of the vocabulary needs; the nearest: legal.wage_claim "
        "(Unpaid wages)" in ran.err
    )


def test_refusal_of_a_body_without_a_file_names_the_options(hub: FakeHub, run: Run) -> None:
    place = f"/routing/v1/coordination/{ID}/extend"
    hub.script("POST", place, refused("", "The time is past.", "Correct the body."))
    line = ("coordination", "extend", ID, "--until", "2026-05-02T09:00:00Z", "--reason", "other", "--yes")
    ran = run(*line, "--as", "coordinator")
    assert ran.code == 3
    assert "refused: Correct --until, --reason. [" in ran.err
    assert "The time is past." in ran.err


def test_refusal_of_an_absent_member_names_no_given_option(hub: FakeHub, run: Run) -> None:
    detail = "The reason 'other' requires a note."
    hub.script("POST", f"/intake/v1/referrals/{ID}/hand-back", refused("/note", detail, "Correct /note."))
    ran = run("referral", "hand-back", ID, "--reason", "other")
    assert ran.code == 3
    assert "refused: Correct the arguments. [" in ran.err
    assert f"/note: {detail}" in ran.err


def test_refusal_says_once_what_its_only_error_says(hub: FakeHub, run: Run) -> None:
    said = "A reason is required."
    hub.script("POST", f"/routing/v1/coordination/{ID}/offer", refused("/reason", said, said))
    ran = run("coordination", "place", ID, "ru.far", "--yes", "--as", "coordinator")
    assert ran.code == 3
    assert ran.err == f"kopuro: refused: {said} [urn:kopuro:problem:invalid-submission]\n  /reason\n"


def test_refusal_of_an_application_names_each_wrong_option(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    wrong = {"pointer": "/proposed_id", "detail": "Must be an organisation id."}
    mail = {"pointer": "/contact/email", "detail": "Must be an e-mail address."}
    answer = problem(422, "invalid-submission", "Correct 2 members.", errors=[wrong, mail])
    hub.script("POST", "/directory/v1/applications", answer)
    given = ("--name", "Example", "--kind", "ngo", "--country", "KG", "--language", "ky")
    contact = ("--description", "Advice.", "--contact", "A. Invented", "--email", "office", "--id", "talas")
    ran = run("organization", "apply", *given, *contact, "--reference-file", str(tmp_path / "reference"))
    assert ran.code == 2
    assert "--id: Must be an organisation id.; --email: Must be an e-mail address." in ran.err


def test_long_value_is_not_repeated(hub: FakeHub, run: Run) -> None:
    errors = [{"pointer": "/region", "detail": "Must be a code of the vocabulary 'regions'."}]
    answer = problem(400, "invalid-parameter", "Invalid", detail="", errors=errors)
    hub.script("GET", "/routing/v1/coordination/coverage", answer)
    ran = run("coordination", "coverage", "--region", "x" * 80, "--as", "coordinator")
    assert "x" * 80 not in ran.err
    assert "--region: Must be a code of the vocabulary 'regions'." in ran.err
