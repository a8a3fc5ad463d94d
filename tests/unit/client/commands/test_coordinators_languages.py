"""Each command of a coordinator's morning in Russian and Kyrgyz: no Latin letter but those of ids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from contracts.identifiers import ORGANIZATION_PATTERN, UUID_PATTERN
from contracts.topology import ROUTING_KEYS
from contracts.topology.owners import OWNERS
from contracts.vocabularies import codes, label
from kopuro_client.commands import _application
from kopuro_client.commands.code_words import CAPACITIES, OFFER_STATES, VOCABULARIES, WORDS
from kopuro_client.commands.decision_sentences import CRITERIA
from kopuro_client.commands.labels import LANGUAGES, inside
from kopuro_client.commands.queue_words import REASONS
from kopuro_client.commands.queue_words import WORDS as QUEUE_WORDS
from kopuro_client.commands.referral_words import STEPS, step
from kopuro_client.commands.rule_sentences import SENTENCES
from kopuro_client.commands.simulation_words import LEFT_OUT, RULES
from services.routing.domain.decision import Lack, Trigger
from services.routing.domain.policy_effect import Why
from services.routing.domain.timeline import entry_of
from services.routing.domain.wishes import ChangeKind
from tests.golden_messages.examples import EXAMPLES
from tests.unit.client.commands.conftest import Run
from tests.unit.client.commands.test_coordination import CANDIDATES, CELL, ID, ITEM, REFERRAL, change, rule
from tests.unit.client.commands.test_coordination_report import shown
from tests.unit.client.fake_hub import FakeHub, json_response

APPLICATION: Final = _application()
COORDINATION: Final = "/routing/v1/coordination"
TIME: Final = "2026-05-01T09:00:00Z"
ORGANIZATION: Final = "ru.moscow-centre"
_ROUTINGS: Final = {*ROUTING_KEYS, *(key for key, owners in OWNERS.items() if "routing" in owners)}
# The events that routing puts into a referral's timeline.
STORED: Final = [
    event
    for event in EXAMPLES.values()
    if event.data.routing_key in _ROUTINGS and hasattr(event.data, "referral_id")
]
# A value of each field of the rules' sentences, with every code of its vocabulary.
FIELDS: Final[Mapping[str, Any]] = {
    **{name: sorted({code for one in lists for code in codes(one)}) for name, lists in VOCABULARIES.items()},
    "status": "waitlist",
    "cost": "at_cost",
    "settlement": "rural",
    "unmet": sorted(WORDS["unmet"]),
    "to": ORGANIZATION,
    **dict.fromkeys(("declined_at", "until"), TIME),
    **dict.fromkeys(("accepted", "maximum", "share", "offers", "withdrawn"), 3),
}
EXCLUDED: Final = {
    **CANDIDATES["candidates"][0],
    "rules": [
        rule(reason, reason, **{field: FIELDS[field] for field in re.findall(r"\{(\w+)\}", texts[0])})
        for reason, texts in SENTENCES.items()
    ],
}
ELIGIBLE: Final = [
    {
        **CANDIDATES["candidates"][0],
        "organization": f"ru.place-{number}",
        "eligible": True,
        "capacity": capacity,
        "rules": [],
        "score": 0.5,
        "rank": number,
        "contributions": [{"name": name, "weight": 0.3, "value": 1.0} for name in CRITERIA],
    }
    for number, capacity in enumerate(CAPACITIES, start=1)
]
NOBODY: Final = [
    {
        "reason": reason,
        "need": "health.hiv",
        "region": "RU-KAM",
        "organization": ORGANIZATION,
        "elsewhere": 3,
    }
    for reason in Lack
]
EVERY_NEED: Final = sorted(codes("needs"))
RICH: Final = {
    **REFERRAL,
    "outcome": "partly_resolved",
    "onward_from": ID,
    "onward": [ID],
    "part_of": ID,
    "parts": [
        {"id": ID, "needs": EVERY_NEED, "status": status, "acceptor": ORGANIZATION, "waits_for": []}
        for status in sorted(codes("referral_statuses"))
    ],
    "facts": {
        "needs": EVERY_NEED,
        "urgency": "urgent",
        "region": "RU-MOW",
        "languages": sorted(codes("languages")),
        "special_categories": sorted(codes("special_categories")),
    },
    "offers": [
        {**REFERRAL["offers"][0], "state": state, "reason": reason}
        for state in OFFER_STATES
        for reason in (
            None,
            *sorted(codes("decline_reasons")),
            "organization_suspended",
            "approval_ended",
            "agreement_ended",
            "organization_changed",
            "moved_on",
        )
    ],
    "timeline": [
        {
            "time": TIME,
            "fact": entry.fact,
            "organization": entry.organization,
            "detail": orjson.loads(orjson.dumps(dict(entry.detail), default=dict)),
        }
        for event in STORED
        if (entry := entry_of(event.data, ID, event.time))
    ],
}
DECISIONS: Final = {
    "referral_id": ID,
    "paused": {"organization": ORGANIZATION, "until": TIME},
    "parts": [ID, ID],
    "part_of": ID,
    "decisions": [
        {
            "id": ID,
            "decided_at": TIME,
            "trigger": trigger,
            "policy_version": "2026-1",
            "directory_version": 12,
            "candidates": [EXCLUDED, *ELIGIBLE],
            "nobody": None,
        }
        for trigger in Trigger
    ]
    + [
        {
            "id": ID,
            "decided_at": TIME,
            "trigger": "review",
            "policy_version": "2026-1",
            "directory_version": 12,
            "candidates": [],
            "nobody": nobody,
        }
        for nobody in NOBODY
    ],
}
ANSWERS: Final[Mapping[str, Any]] = {
    f"{COORDINATION}/queue": {
        "items": [
            {**ITEM, "reason": reason, "part_of": ID, "needs": EVERY_NEED, "acceptor": ORGANIZATION}
            for reason in REASONS
        ],
        "next": "0a1b",
    },
    f"{COORDINATION}/unplaced": {
        "items": [{**ITEM, "reason": reason} for reason in ("no_candidate", "candidates_exhausted")],
        "next": "0a1b",
    },
    f"{COORDINATION}/wishes": {
        "considered": 3,
        "next": None,
        "items": [
            {
                "changes": [
                    change(
                        kind,
                        organization=ORGANIZATION,
                        region="RU-TYU",
                        need="health.tb",
                        language="tg",
                        conditions=sorted(WORDS["unmet"]),
                        service="clinic",
                    )
                ],
                "referrals": 3,
                "emergencies": 1,
            }
            for kind in ChangeKind
        ],
    },
    f"{COORDINATION}/coverage": {
        "items": [{**CELL, "need": need, "language": "uz-Cyrl"} for need in EVERY_NEED],
        "next": None,
    },
    f"{COORDINATION}/{ID}/candidates": {
        **CANDIDATES,
        "candidates": [EXCLUDED, *ELIGIBLE],
        "open_offers": [{"organization": "ru.far-away", "deadline": TIME}],
        "parts": [
            {"needs": EVERY_NEED, "organizations": []},
            {"needs": ["work"], "organizations": ["ru.one"]},
        ],
    },
    f"{COORDINATION}/statistics": {
        "items": [
            {
                "span": "2026-W09",
                "weeks": 1,
                **{
                    name: {"count": None, "at_least": 3}
                    for name in ("submitted", "unplaced", "asked", "answered", "silent")
                },
            }
        ]
    },
    f"/routing/v1/referrals/{ID}/decision": DECISIONS,
    f"/intake/v1/referrals/{ID}": RICH,
}
# Every trigger, criterion and rule, and every reason for leaving decisions out.
SIMULATION: Final = {
    "version": "2026-2",
    "digest": "0" * 64,
    "referrals": 9,
    "elsewhere": 1,
    "items": [
        {
            "referral_id": ID,
            "urgency": "urgent",
            "needs": EVERY_NEED,
            "region": "RU-MOW",
            "effects": [
                {
                    "trigger": trigger,
                    "before": ["ru.one"],
                    "after": [],
                    "firsts": [
                        {"organization": "ru.one", "why": why, "equals": 2, "tied": 2, "last_asked": asked},
                        None,
                    ],
                    "standings": [
                        {
                            "organization": "ru.one",
                            "service": "clinic",
                            "ranks": [1, None],
                            "scores": [0.5, None],
                            "shares": {name: [0.1, 0.2] for name in CRITERIA},
                            "failures": sorted(RULES),
                            "lifted": sorted(RULES),
                        }
                    ],
                }
                for trigger in Trigger
                for why in Why
                for asked in (None, TIME)
            ],
        }
    ],
    "unlisted": 2,
    "directory_changed": 3,
    "left_out": dict.fromkeys(LEFT_OUT, 4),
}
# `test_acts_languages.py` tests their previews.
ACTS: Final = {"nudge", "extend", "move-on", "place", "withdraw", "revoke-consent"}
# The arguments of the reading commands.
ARGUMENTS: Final = {"referral": ID, "file": "policy.json"}
COMMANDS: Final = [
    (*path, *(ARGUMENTS[one.name] for one in command.params if one.name in ARGUMENTS))
    for path, command in [
        *(
            (("coordination", name), one)
            for name, one in APPLICATION.commands["coordination"].commands.items()
        ),
        (("referral", "explain"), APPLICATION.commands["referral"].commands["explain"]),
    ]
    if any("--language" in one.opts for one in command.params) and path[-1] not in ACTS
]


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a response with the name of its member."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _strings(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one, key)
    elif isinstance(value, str):
        yield key, value


def _ids(answer: Any) -> set[str]:
    """The texts of a response that are not codes: ids, names, versions, and the hub's own sentences."""
    named = {"service", "coordinator", "by", "detail", "policy_version", "span", "week", "before"}
    return {
        text
        for key, text in _strings(answer)
        if key in named or re.fullmatch(ORGANIZATION_PATTERN, text) or re.fullmatch(UUID_PATTERN, text)
    }


def _without_commands(text: str) -> str:
    """The text without the command lines in it, which must exist, and without options of theirs."""
    for line in re.findall(r"kopuro(?: [\w.:-]+)+", text):
        node = APPLICATION
        for word in line.split()[1:]:
            if word not in getattr(node, "commands", {}):
                break
            node = node.commands[word]
        assert node is not APPLICATION, line
        assert not hasattr(node, "commands"), line
        text = text.replace(line, "")
    options = {
        option
        for one in APPLICATION.commands["coordination"].commands.values()
        for p in one.params
        for option in p.opts
    }
    return re.sub(
        r"(--[a-z-]+)(?: [0-9a-f]+\b)?", lambda found: "" if found[1] in options else found[0], text
    )


@pytest.fixture
def morning(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.json").write_text("{}")
    hub.script("POST", f"{COORDINATION}/policies:simulate", json_response(SIMULATION))
    for address, answer in ANSWERS.items():
        hub.script("GET", address, json_response(answer))
    return hub


def test_every_reading_command_of_coordinators_takes_a_language() -> None:
    group = APPLICATION.commands["coordination"].commands
    assert {line[1] for line in COMMANDS if line[0] == "coordination"} == group.keys() - ACTS
    assert all(any("--language" in one.opts for one in group[act].params) for act in ACTS)


@pytest.mark.parametrize("language", ["ru", "ky"])
@pytest.mark.parametrize("line", COMMANDS, ids=" ".join)
def test_command_has_latin_letters_only_in_ids(
    morning: FakeHub, run: Run, line: tuple[str, ...], language: str
) -> None:
    morning.script("GET", f"{COORDINATION}/report", json_response(shown(language)))
    ran = run(*line, "--language", language, "--as", "coordinator")
    assert ran.code == 0
    text = _without_commands(" ".join(f"{ran.out} {ran.err}".split()))
    # Coverage names the code beside the label: --region and --need take it.
    for vocabulary in ("regions", "needs"):
        for code in codes(vocabulary):
            text = text.replace(f"{label(vocabulary, code, language)} ({code})", "")
    answers = [*ANSWERS.values(), SIMULATION, shown(language)]
    for one in sorted(set().union(*map(_ids, answers)), key=len, reverse=True):
        text = re.sub(rf"(?<![\w.-]){re.escape(' '.join(one.split()))}(?![\w-])", "", text)
    text = re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?Z)?", "", text)
    assert re.findall(r"[A-Za-z][\w.-]*", text) == []
    assert re.search("[а-яёөүң]", text)


@pytest.mark.parametrize("line", COMMANDS, ids=" ".join)
def test_command_in_english_has_no_code(morning: FakeHub, run: Run, line: tuple[str, ...]) -> None:
    morning.script("GET", f"{COORDINATION}/report", json_response(shown("en")))
    ran = run(*line, "--as", "coordinator")
    assert ran.code == 0
    text = re.sub(r"\([\w.-]+\)", "", _without_commands(" ".join(ran.out.split())))
    for one in sorted(
        set().union(*map(_ids, [*ANSWERS.values(), SIMULATION, shown("en")])), key=len, reverse=True
    ):
        text = text.replace(one, "")
    assert re.findall(r"\b[a-z]+_[a-z_]+\b|\b[a-z]+\.[a-z_]+\b|\bRU-[A-Z]+\b", text) == []


def test_every_step_of_a_timeline_has_a_sentence() -> None:
    assert {event.data.routing_key for event in STORED} <= STEPS.keys()


def test_step_that_may_concern_no_organization_has_a_sentence_without_one() -> None:
    optional = {
        event.data.routing_key
        for event in STORED
        for one in fields(event.data)  # type: ignore[arg-type]
        if one.name == "organization" and "None" in str(one.type)
    }
    assert "intervention.submitted" in optional
    for fact in optional:
        entry: Any = {"time": TIME, "fact": fact, "organization": None, "detail": {}}
        assert step(entry, "en") is not None, fact


@pytest.mark.parametrize("name", ["emergency", "emergencies"])
def test_kyrgyz_word_for_emergencies_is_not_the_one_for_urgent_referrals(name: str) -> None:
    assert QUEUE_WORDS[name][LANGUAGES.index("ky")] == inside("urgencies", "emergency", "ky")


@pytest.mark.parametrize("language", LANGUAGES)
def test_headings_of_wishes_are_apart(morning: FakeHub, run: Run, language: str) -> None:
    heading = run("coordination", "wishes", "--language", language, "--as", "coordinator").out.splitlines()[0]
    names = [QUEUE_WORDS[name][LANGUAGES.index(language)] for name in ("counts", "emergencies", "by")]
    assert re.split(r"\s{2,}", heading) == names
