"""Each command of a coordinator's morning in Russian and Kyrgyz: no Latin letter but those of ids."""

from __future__ import annotations

import csv
import datetime as dt
import importlib
import io
import pkgutil
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
from kopuro_client import commands
from kopuro_client.commands import _application
from kopuro_client.commands.code_words import CAPACITIES, OFFER_STATES, VOCABULARIES, WORDS
from kopuro_client.commands.coordination_queue import show_queue
from kopuro_client.commands.decision_sentences import CRITERIA, TRIGGERS
from kopuro_client.commands.decision_sentences import PHRASES as PHRASES_OF_DECISIONS
from kopuro_client.commands.labels import LANGUAGES, inside
from kopuro_client.commands.output import Output
from kopuro_client.commands.queue_words import CHANGES, REASONS
from kopuro_client.commands.queue_words import WORDS as QUEUE_WORDS
from kopuro_client.commands.referral_words import STEPS, step
from kopuro_client.commands.rule_sentences import SENTENCES, TO_SENDER
from kopuro_client.commands.simulation_words import LEFT_OUT, RULES
from kopuro_client.commands.simulation_words import WORDS as SIMULATION_WORDS
from kopuro_client.commands.watch import _WORDS as WATCH_WORDS
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
# The phrases of a referral's history.
PHRASES: Final = Path(__file__).parents[4] / "services" / "audit" / "reports" / "phrases.csv"
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


def _texts() -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Every text of the commands in three languages, with its module."""
    for found in pkgutil.iter_modules(commands.__path__, f"{commands.__name__}."):
        for value in vars(importlib.import_module(found.name)).values():
            tables = value.values() if isinstance(value, Mapping) else (value,)
            for one in tables:
                for texts in one.values() if isinstance(one, Mapping) else (one,):
                    if (
                        isinstance(texts, tuple)
                        and len(texts) == len(LANGUAGES)
                        and all(isinstance(text, str) for text in texts)
                        and re.search("[а-яё]", texts[1])
                    ):
                        yield found.name, texts


def test_kyrgyz_postposition_follows_a_noun_that_has_its_case() -> None:
    """A time has no ending: `2026-05-01 09:00:00Z учуруна чейин`."""
    with PHRASES.open(encoding="utf-8", newline="") as phrases:
        texts = [row["ky"] for row in csv.DictReader(phrases)]
    texts += [texts[2] for _, texts in _texts()]
    assert len(texts) > 500
    found = [text for text in texts if re.search(r"\} (чейин|баштап|тартып)(?!\w)", text)]
    assert found == []


@pytest.mark.parametrize("kind", ChangeKind)
def test_kyrgyz_wish_names_an_organization_in_the_case_of_its_phrase(kind: ChangeKind) -> None:
    assert not re.search(r"\{organization\} (?!уюм)", CHANGES[kind][LANGUAGES.index("ky")])


def test_kyrgyz_word_for_a_score_is_not_the_one_for_a_price() -> None:
    texts = [*PHRASES_OF_DECISIONS.values(), *SIMULATION_WORDS.values()]
    assert [text for _, _, text in texts if re.search(r"\bбаа", text, re.IGNORECASE)] == []


def test_russian_and_kyrgyz_texts_have_dashes_and_no_hyphens_between_words() -> None:
    assert [text for _, texts in _texts() for text in texts[1:] if re.search(r"[^\W\d] - ", text)] == []


@pytest.mark.parametrize("sentences", [SENTENCES, TO_SENDER], ids=["staff", "sender"])
def test_number_of_open_offers_needs_no_plural(sentences: Mapping[str, tuple[str, str, str]]) -> None:
    said = sentences["share_used"][0].format(share=1, offers=1)
    assert "1 open offers" not in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentence_about_another_preferred_organization_says_which_one_is_not_asked(language: str) -> None:
    """`ей` and `it` would be the preferred one."""
    said = SENTENCES["person_prefers_another"][LANGUAGES.index(language)]
    assert re.search({"en": "this one", "ru": "этой", "ky": "буга"}[language], said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_headings_of_wishes_are_apart(morning: FakeHub, run: Run, language: str) -> None:
    heading = run("coordination", "wishes", "--language", language, "--as", "coordinator").out.splitlines()[0]
    names = [QUEUE_WORDS[name][LANGUAGES.index(language)] for name in ("counts", "emergencies", "by")]
    assert re.split(r"\s{2,}", heading) == names


@pytest.mark.parametrize("language", LANGUAGES)
def test_queue_says_that_the_organization_is_the_sender(language: str) -> None:
    """`Shelter from kg.one` would be what it gives."""
    said = QUEUE_WORDS["from"][LANGUAGES.index(language)]
    sender = {"en": "sent by", "ru": "отправитель", "ky": "жөнөтүүчү"}[language]
    assert f"{sender} {{sender}}" in said


def test_russian_preview_of_an_admission_does_not_make_it_a_member_of_its_own_id() -> None:
    """`Участница kg.one` would be a member of kg.one."""
    found = [texts[1] for _, texts in _texts() if re.search(r"участни\w+ \{organization\}", texts[1])]
    assert found == []


def test_kyrgyz_end_of_a_watch_is_a_month() -> None:
    assert "{until} айына чейин" in WATCH_WORDS["watched_until"][LANGUAGES.index("ky")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_next_step_of_an_unplaced_referral_is_a_clause_of_its_own(language: str) -> None:
    item: Any = {**ITEM, "reason": "candidates_exhausted", "waits_for": [], "deadline": TIME}
    said = io.StringIO()
    show_queue(Output(as_json=False, stdout=said), [item], dt.datetime.fromisoformat(TIME), language)
    text = " ".join(said.getvalue().split())
    next_step = QUEUE_WORDS["next_step"][LANGUAGES.index(language)].split("{time}")[0]
    assert f"; {next_step}" in text


def test_russian_says_that_an_acceptor_is_suspended_or_inactive_and_by_when_a_report_was_due() -> None:
    with PHRASES.open(encoding="utf-8", newline="") as phrases:
        told = {row["code"]: row["ru"] for row in csv.DictReader(phrases)}
    assert "приостановлено или прекращено" in STEPS["referral.acceptor_suspended"][1]
    # Each repetition of the report has another due time, so `since` would be wrong.
    assert "с {due_at}" not in told["referral.overdue"]


@pytest.mark.parametrize(
    "text",
    [REASONS["acceptor_suspended"], WORDS["message_type"]["kopuro.referral.acceptor_suspended.v1"]],
    ids=["queue", "alert"],
)
def test_russian_says_suspended_or_inactive_where_english_does(text: tuple[str, str, str]) -> None:
    assert "inactive" in text[0]
    assert "приостановлено или прекращено" in text[1]


def test_suspension_that_caused_a_decision_is_that_of_the_organization_that_was_asked() -> None:
    english, russian, kyrgyz = TRIGGERS["organization_suspended"]
    assert "that was asked" in english
    assert "запрошенной" in russian
    assert "суралган" in kyrgyz
