"""Invalid arguments are named in the words of the command."""

from __future__ import annotations

import pytest

from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, problem

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


@pytest.mark.parametrize(
    "line",
    [("story", ID, "--language", "xx"), ("admin", "rotate", "foo", "."), ("story", ID, "--format", "x")],
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_value_that_is_no_choice_has_a_sentence_without_a_prefix(
    run: Run, line: tuple[str, ...], options: tuple[str, ...]
) -> None:
    ran = run(*line, *options)
    assert ran.code == 2
    assert "is not one of" in ran.err
    assert "Value error" not in ran.err


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
