"""`kopuro coordination simulate`: the effect of a policy as text, and the refusal of a wrong one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.commands.simulation_words import LEFT_OUT, RULES, WORDS
from services.routing.domain import report_words
from services.routing.domain.recomputation import Erased, NotReproducible, OfAnotherBuild
from services.routing.domain.rules import RULES as EVERY_RULE
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response, problem

ADDRESS: Final = "/routing/v1/coordination/policies:simulate"
POLICY: Final = {"version": "2026-2", "weights": {"language": 9}}
LINE: Final = ("coordination", "simulate", "policy.json", "--as", "coordinator")
SIMULATION: Final[dict[str, Any]] = {
    "version": "2026-2",
    "digest": "5e" * 32,
    "referrals": 3,
    "elsewhere": 1,
    "items": [
        {
            "referral_id": "0199a0de-0000-7000-8000-000000000001",
            "urgency": "routine",
            "needs": ["legal.wage_claim"],
            "region": "RU-MOW",
            "effects": [
                {
                    "trigger": "submitted",
                    "before": ["ru.near"],
                    "after": ["ru.fluent"],
                    "firsts": [
                        {"organization": "ru.near", "why": "best", "equals": 1, "last_asked": None},
                        {"organization": "ru.fluent", "why": "turn", "equals": 2, "last_asked": None},
                    ],
                    "standings": [
                        {
                            "organization": "ru.near",
                            "service": "help",
                            "ranks": [1, None],
                            "scores": [0.75, None],
                            "shares": {},
                            "failures": ["place_left"],
                        },
                        {
                            "organization": "ru.fluent",
                            "service": "help",
                            "ranks": [2, 1],
                            "scores": [0.5, 0.9],
                            "shares": {"nearness": [0.3, 0.2], "language": [0.1, 0.6]},
                            "failures": [],
                            "lifted": ["capacity_not_declined"],
                        },
                    ],
                }
            ],
        }
    ],
    "unlisted": 0,
    "directory_changed": 0,
    "left_out": {},
}


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.json").write_text(json.dumps(POLICY), encoding="utf-8")


def test_simulation_says_where_a_referral_would_have_gone_and_why(
    hub: FakeHub, run: Run, policy: None
) -> None:
    hub.script("POST", ADDRESS, json_response(SIMULATION))
    ran = run(*LINE, "--referrals", "3")
    assert ran.code == 0
    assert ran.err == ""
    lines = ran.out.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    text = " ".join(ran.out.split())
    for part in (
        "0199a0de-0000-7000-8000-000000000001: routine; unpaid wages; Moscow",
        "when the referral was submitted: ru.near -> ru.fluent",
        "before: ru.near was asked because it comes first by capacity and score.",
        "after: ru.fluent was asked because it was asked least recently among 2 equals",
        "ru.near, service help: rank 1 -> none, score 0.75 -> none (now excluded: no place left)",
        "rank 2 -> 1, score 0.5 -> 0.9 (language 0.100 -> 0.600, nearness 0.300 -> 0.200, "
        "no longer excluded: declined for lack of capacity)",
        "1 of 3 referrals would have gone elsewhere",
        f"2026-2: valid; an operator can apply it (digest {'5e' * 32})",
    ):
        assert part in text
    (sent,) = hub.requests_to(ADDRESS)
    assert sent.json() == {"policy": POLICY, "referrals": 3}
    assert run(*LINE, "--json").json() == SIMULATION


def test_notes_say_what_the_simulation_left_out(hub: FakeHub, run: Run, policy: None) -> None:
    more = {"unlisted": 2, "directory_changed": 4, "left_out": {"erased": 1, "unheard_of": 5}}
    hub.script("POST", ADDRESS, json_response({**SIMULATION, **more}))
    notes = run(*LINE).err
    assert "further decisions that would have asked others, not listed: 2" in notes
    assert "under the earlier policy (the directory changed): 4" in notes
    assert "left out (erased after the referral had ended): 1" in notes
    assert "left out (unheard_of): 5" in notes


def test_wrong_policy_is_refused_with_the_places_in_the_file(hub: FakeHub, run: Run, policy: None) -> None:
    errors = [
        {"pointer": "/policy/weights", "detail": "All weights are 0."},
        {"pointer": "/policy/urgent/answer", "detail": "At least 300 seconds."},
    ]
    detail = "Correct /policy/weights, /policy/urgent/answer."
    hub.script("POST", ADDRESS, problem(422, "invalid-submission", "Invalid", detail=detail, errors=errors))
    ran = run(*LINE)
    assert (ran.code, ran.out) == (ExitCode.REFUSED, "")
    assert "Correct policy.json." in ran.err
    assert "/weights" in ran.err
    assert "/urgent/answer" in ran.err
    assert "/policy/" not in ran.err


def test_wrong_number_of_referrals_is_named_as_the_option(hub: FakeHub, run: Run, policy: None) -> None:
    errors = [{"pointer": "/referrals", "detail": "Must be at most 500."}]
    hub.script("POST", ADDRESS, problem(422, "invalid-submission", "Invalid", errors=errors))
    ran = run(*LINE, "--referrals", "501")
    assert ran.code == 2
    assert "--referrals: Must be at most 500." in ran.err


def test_every_rule_and_every_reason_has_words_in_three_languages() -> None:
    assert RULES.keys() == EVERY_RULE.keys()
    assert RULES.items() <= report_words.RULES.items()
    kinds = {one.code for one in (NotReproducible, OfAnotherBuild, Erased)}
    assert LEFT_OUT.keys() == kinds | {"too_many_decisions", "no_time_left"}
    for texts in (*WORDS.values(), *RULES.values(), *LEFT_OUT.values()):
        assert len(texts) == 3
        assert all(texts)
