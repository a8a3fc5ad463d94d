"""`kopuro referral explain`: decisions as sentences in every language, and every rule as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kopuro_client.commands.code_words import WORDS, Texts
from kopuro_client.commands.decision_sentences import CRITERIA, LACKS, PHRASES, TRIGGERS
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.rule_sentences import sentence_of
from kopuro_client.records import Rule
from services.routing.domain.decision import Lack, Trigger
from services.routing.domain.policy import Weights
from tests.unit.client.commands.conftest import Run
from tests.unit.client.commands.samples import DECISIONS, REFERRAL
from tests.unit.client.fake_hub import FakeHub, json_response

VOCABULARIES = Path(__file__).parents[4] / "contracts" / "vocabularies"
ADDRESS = f"/routing/v1/referrals/{REFERRAL['id']}/decision"
CONSULATE, UNION = DECISIONS["decisions"][0]["candidates"]
CENTRE = {**UNION, "organization": "ru.moscow-centre", "score": 0.5, "rank": 2, "capacity": "waitlist"}
CYRILLIC = re.compile("[а-яёөүң]", re.IGNORECASE)


def explained(hub: FakeHub, run: Run, *options: str, **changes: Any) -> str:
    """Return what the command prints of one decision, the sample with these changes."""
    [decision] = DECISIONS["decisions"]
    hub.script("GET", ADDRESS, json_response({**DECISIONS, "decisions": [{**decision, **changes}]}))
    ran = run("referral", "explain", REFERRAL["id"], *options)
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def on_one_line(text: str) -> str:
    return " ".join(text.split())


def turn(last_asked: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return why UNION comes first: by default its turn among three."""
    contender = {"last_asked": last_asked, "judged": 7, "equal": True}
    return {
        "band": 0.03,
        "explore": 0.1,
        "few": 5,
        "attempt": 0,
        "draw": 0.5,
        "equals": 3,
        "explored": None,
        "organizations": {UNION["organization"]: contender},
        **changes,
    }


def test_decision_is_explained_in_sentences(hub: FakeHub, run: Run) -> None:
    assert explained(hub, run, candidates=[CONSULATE, CENTRE, UNION], turn=turn()).splitlines() == [
        "Decision at 2026-05-01 09:00:01Z",
        "cause      the referral was submitted",
        "policy     2026-01",
        "directory  417",
        "",
        "Order of asking:",
        "1. ru.moscow-union, service wages; score 0.812",
        "   nearness 0.3×1 + language 0.25",
        "2. ru.moscow-centre, service wages; has a waiting list; score 0.5",
        "   nearness 0.3×1 + language 0.25",
        "A score is the mean of the values (0 to 1), each weighted: weight×value.",
        "",
        "ru.moscow-union was asked because it was asked least recently among 3 equals",
        "(never asked before).",
        "",
        "Excluded:",
        "- ru.consulate, service consular",
        "    The person has not agreed to organisations of its kind (consular",
        "    representative).",
    ]


def test_explanation_as_json_holds_every_rule(hub: FakeHub, run: Run) -> None:
    hub.script("GET", ADDRESS, json_response(DECISIONS))
    assert run("referral", "explain", REFERRAL["id"], "--json", "--language", "ru").json() == DECISIONS


@pytest.mark.parametrize("language", ["ru", "ky"])
def test_explanation_in_another_language_has_no_english_words(hub: FakeHub, run: Run, language: str) -> None:
    text = explained(
        hub,
        run,
        "--language",
        language,
        candidates=[CONSULATE, CENTRE, UNION],
        turn=turn("2026-04-30T09:00:00.123Z"),
    )
    for name in ("ru.moscow-union", "ru.moscow-centre", "ru.consulate", "wages", "consular"):
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", "", text)
    text = re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\dZ)?", "", text)
    assert re.findall("[a-zA-Z]+", text) == []
    assert CYRILLIC.search(text)


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("language", LANGUAGES)
def test_explanation_fits_80_columns_and_breaks_no_id(
    hub: FakeHub, run: Run, language: str, trigger: str
) -> None:
    name = "ru.association-of-the-seasonal-workers-of-the-far-east"
    contributions = [{"name": one, "weight": 2.0, "value": 0.123} for one in CRITERIA]
    first = {**UNION, "organization": name, "contributions": contributions}
    candidates = [first, CENTRE, CONSULATE]
    text = explained(hub, run, "--language", language, candidates=candidates, turn=turn(), trigger=trigger)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count(name) == (1 if trigger == "placed_by_coordinator" else 2)
    assert "\u00a0" not in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"turn": turn("2026-04-30T09:00:00Z")},
            "ru.moscow-union was asked because it was asked least recently among 3 equals "
            "(last asked 2026-04-30 09:00:00Z).",
        ),
        # The hub shows parties only the day.
        (
            {"turn": turn("2026-04-30T00:00:00Z")},
            "ru.moscow-union was asked because it was asked least recently among 3 equals "
            "(last asked 2026-04-30).",
        ),
        (
            {"turn": turn()},
            "ru.moscow-union was asked because it was asked least recently among 3 equals "
            "(never asked before).",
        ),
        (
            {"turn": turn(explored="ru.moscow-union")},
            "ru.moscow-union was asked so that it gets a chance: it is hardly known, or others score higher.",
        ),
        (
            {"turn": turn(equals=1)},
            "ru.moscow-union was asked because it comes first by capacity and score.",
        ),
        (
            {"turn": turn(equals=1), "candidates": [UNION, {**UNION, "service": "other", "rank": None}]},
            "ru.moscow-union was asked because it was the only eligible organisation.",
        ),
        ({"turn": turn(), "trigger": "placed_by_coordinator"}, None),
        ({"turn": None}, None),
    ],
)
def test_explanation_says_why_the_first_was_asked(
    hub: FakeHub, run: Run, changes: dict[str, Any], sentence: str | None
) -> None:
    text = on_one_line(explained(hub, run, **{"candidates": [UNION, CENTRE], **changes}))
    assert text.count("was asked") == (0 if sentence is None else sentence.count("was asked"))
    assert sentence is None or sentence in text


def test_second_service_of_an_organization_is_listed_last(hub: FakeHub, run: Run) -> None:
    second = {**UNION, "service": "other", "rank": None}
    lines = explained(hub, run, candidates=[second, UNION, CENTRE]).splitlines()
    assert [line.split(";")[0] for line in lines if ", service" in line] == [
        "1. ru.moscow-union, service wages",
        "2. ru.moscow-centre, service wages",
        "   ru.moscow-union, service other",
    ]
    assert "another service of this organisation ranks higher" in on_one_line("\n".join(lines))


def test_explanation_says_that_every_candidate_is_excluded(hub: FakeHub, run: Run) -> None:
    assert "Nobody could be asked: every candidate is excluded.\n" in explained(
        hub, run, candidates=[CONSULATE]
    )


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("need_not_offered", "no organisation in the directory helps with this need: unpaid wages"),
        (
            "need_not_offered_in_region",
            "no organisation in the region Kamchatka Territory helps with this need: unpaid wages; "
            "organisations helping with it elsewhere: 3",
        ),
        ("unknown_organization", "ru.union is not in the directory"),
        ("organization_without_services", "ru.union offers no service"),
    ],
)
def test_explanation_gives_the_reason_for_no_candidates(
    hub: FakeHub, run: Run, reason: str, sentence: str
) -> None:
    nobody = {
        "reason": reason,
        "need": "legal.wage_claim",
        "region": "RU-KAM",
        "organization": "ru.union",
        "elsewhere": 3,
    }
    text = on_one_line(explained(hub, run, candidates=[], nobody=nobody))
    assert text.endswith(f"no candidates: {sentence}")
    assert "кандидатов нет: " in explained(hub, run, "--language", "ru", candidates=[], nobody=nobody)


def test_explanation_without_candidates_or_reason_says_no_candidates(hub: FakeHub, run: Run) -> None:
    assert explained(hub, run, candidates=[]).endswith("no candidates\n")


def test_explanation_names_overridden_rules(hub: FakeHub, run: Run) -> None:
    failed = {"rule": "area_served", "passed": False, "overridden": True, "reason": "out_of_area"}
    placed = {**UNION, "capacity": "waitlist", "rules": [{**failed, "detail": {"region": "RU-SPE"}}]}
    changes = {"candidates": [placed], "overridden": ["area_served"], "trigger": "placed_by_coordinator"}
    lines = explained(hub, run, **changes).splitlines()
    assert lines[:2] == [
        "Decision at 2026-05-01 09:00:01Z",
        "cause      a coordinator chose the organisation",
    ]
    assert "1. ru.moscow-union, service wages; has a waiting list; score 0.812" in lines
    assert lines[-3:] == [
        "A coordinator decided to ask although:",
        "- ru.moscow-union, service wages",
        "    Its service does not cover the region: Saint Petersburg.",
    ]


def test_explanation_names_no_overridden_rules_of_a_service_that_was_not_asked(
    hub: FakeHub, run: Run
) -> None:
    """A placement's other services, not asked, were listed as if the coordinator had asked them, too."""
    failed = {"rule": "area_served", "passed": False, "overridden": True, "reason": "out_of_area"}
    asked = {**UNION, "rules": [{**failed, "detail": {"region": "RU-SPE"}}]}
    second = {**asked, "service": "second", "rank": None}
    changes = {
        "candidates": [asked, second],
        "overridden": ["area_served"],
        "trigger": "placed_by_coordinator",
    }
    lines = explained(hub, run, **changes).splitlines()
    assert lines[-3:] == [
        "A coordinator decided to ask although:",
        "- ru.moscow-union, service wages",
        "    Its service does not cover the region: Saint Petersburg.",
    ]


@pytest.mark.parametrize(("name", "is_said"), [("load", True), ("responsiveness", True), ("language", False)])
def test_explanation_says_that_a_sender_reads_classes(
    hub: FakeHub, run: Run, name: str, is_said: bool
) -> None:
    one = {**UNION, "contributions": [{"name": name, "value": 0.5, "weight": 2.0}]}
    text = on_one_line(explained(hub, run, candidates=[one]))
    assert ("The referral's sender sees load and prompt answers in classes" in text) is is_said


def test_explanation_reports_a_paused_case(hub: FakeHub, run: Run) -> None:
    pause = {"organization": "ru.union", "until": "2026-05-02T09:00:00Z"}
    hub.script("GET", ADDRESS, json_response({**DECISIONS, "paused": pause}))
    out = on_one_line(run("referral", "explain", REFERRAL["id"]).out)
    assert "the case waits until 2026-05-02 09:00:00Z: ru.union replaced its sealing key" in out


def test_unknown_codes_are_printed_as_they_are(hub: FakeHub, run: Run) -> None:
    later = {**UNION, "capacity": "by_appointment", "contributions": [{"name": "warmth", "value": 1.0}]}
    text = explained(hub, run, "--language", "ky", candidates=[later], trigger="moon_rose")
    assert "moon_rose\n" in text
    assert "by_appointment" in text
    assert "warmth 1\n" in text


def test_details_of_a_rule_are_in_words() -> None:
    def sentence(language: str, reason: str, **detail: Any) -> str:
        rule: Rule = {"rule": "any", "passed": False, "reason": reason, "detail": detail}
        return sentence_of(rule, language)

    full = {"declined_at": "2026-05-01T09:00:00.123456Z", "until": "2026-05-01T17:00:00.123456Z"}
    assert sentence("en", "asked_lately", **full) == (
        "It declined for lack of capacity at 2026-05-01 09:00:00Z and can be asked again from "
        "2026-05-01 17:00:00Z."
    )
    assert sentence("en", "declined_no_capacity", service="legal", within_hours=8) == (
        "It said within 8 h before this decision that it had no capacity, so its service counted as full."
    )
    assert sentence("en", "share_used", offers=2) == (
        "The sender has used its share of the places there; its open offers there: 2."
    )
    assert "(консульский представитель)" in sentence(
        "ru", "kind_not_opted_in", kind="consular_representative"
    )
    assert "жынысы, жашы" in sentence("ky", "not_eligible", unmet=["sex", "age_band"])
    assert "Its service has a waiting list, so it" in sentence("en", "no_capacity", status="waitlist")
    assert "направление: by_appointment." in sentence("ru", "no_capacity", status="by_appointment")


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        (
            "en",
            "The person does not meet the conditions of its service: sex (only: female); special categories "
            "(only: victim of trafficking, minor).",
        ),
        (
            "ru",
            "Человек не соответствует условиям её услуги: пол (только: женский); особые категории (только: "
            "лицо, пострадавшее от торговли людьми, несовершеннолетнее лицо).",
        ),
        (
            "ky",
            "Адам анын кызматынын шарттарына ылайык келбейт: жынысы (аял гана); өзгөчө категориялар "
            "(адам сатуудан жабыр тарткан адам, жашы жете элек адам гана).",
        ),
    ],
)
def test_unmet_conditions_say_whom_the_service_is_for(language: str, sentence: str) -> None:
    unmet = ["sex", "special_categories"]
    rule: Rule = {
        "rule": "person_eligible",
        "passed": False,
        "reason": "not_eligible",
        "detail": {"unmet": unmet},
        "conditions": {"sex": ["female"], "special_categories": ["trafficking_victim", "minor"]},
    }
    assert sentence_of(rule, language) == sentence


def test_every_code_of_the_hub_has_texts_in_every_language() -> None:
    assert TRIGGERS.keys() == set(Trigger)
    assert LACKS.keys() == set(Lack)
    assert CRITERIA.keys() == Weights().by_name().keys()
    tables: list[Mapping[str, Texts]] = [TRIGGERS, LACKS, CRITERIA, PHRASES, *WORDS.values()]
    for texts in (one for table in tables for one in table.values()):
        assert len(set(texts)) == len(LANGUAGES)
        assert not CYRILLIC.search(texts[0])
        assert all(CYRILLIC.search(text) for text in texts[1:])
        fields = [sorted(re.findall(r"\{(\w+)\}", text)) for text in texts]
        assert fields == [fields[0]] * len(LANGUAGES)


@pytest.mark.parametrize(
    ("language", "split", "part"),
    [
        ("en", "the referral was split", "This referral is a part of r0."),
        ("ru", "направление разделено", "Это направление — часть направления r0."),
        ("ky", "жолдомо бөлүндү", "Бул жолдомо — r0 жолдомосунун бөлүгү."),
    ],
)
def test_explanation_names_the_parts_and_the_whole_of_a_split(
    hub: FakeHub, run: Run, language: str, split: str, part: str
) -> None:
    links = {**DECISIONS, "decisions": [], "parts": ["r2", "r3"], "part_of": "r0"}
    hub.script("GET", ADDRESS, json_response(links))
    out = " ".join(run("referral", "explain", REFERRAL["id"], "--language", language).out.split())
    assert split in out
    assert "r2, r3" in out
    assert part in out


@pytest.mark.parametrize(
    ("score", "why"),
    [
        (0.8, "its score is the highest"),
        (0.9, "the referral's id decided between those with the highest score"),
    ],
)
def test_turn_among_equals_that_were_never_asked_says_what_decided(
    hub: FakeHub, run: Run, score: float, why: str
) -> None:
    never = {"last_asked": None, "judged": 0, "equal": True}
    names = (UNION["organization"], CENTRE["organization"])
    union, centre = {**UNION, "score": 0.9}, {**CENTRE, "score": score}
    made = turn(equals=2, organizations=dict.fromkeys(names, never))
    text = on_one_line(explained(hub, run, candidates=[union, centre], turn=made))
    assert f"because none of the 2 equals was asked before, and {why}." in text


@pytest.mark.parametrize(
    ("score", "why"),
    [
        (0.8, "its score is the highest of these"),
        (0.9, "the referral's id decided between those with the highest score"),
    ],
)
def test_turn_among_several_of_the_equals_that_were_never_asked_says_what_decided(
    hub: FakeHub, run: Run, score: float, why: str
) -> None:
    never = {"last_asked": None, "judged": 0, "equal": True}
    asked = {"last_asked": "2026-05-01T09:00:00Z", "judged": 1, "equal": True}
    union, centre = {**UNION, "score": 0.9}, {**CENTRE, "score": score}
    organizations = {UNION["organization"]: never, CENTRE["organization"]: never, "ru.far": asked}
    made = turn(equals=3, organizations=organizations)
    text = on_one_line(explained(hub, run, candidates=[union, centre], turn=made))
    assert f"of 3 equals, 2 were never asked before, and {why}." in text


@pytest.mark.parametrize(
    ("score", "why"),
    [
        (0.8, "its score is the highest of these"),
        (0.9, "the referral's id decided between those with the highest score"),
    ],
)
def test_turn_among_several_that_were_asked_at_the_same_moment_says_what_decided(
    hub: FakeHub, run: Run, score: float, why: str
) -> None:
    asked = {"last_asked": "2026-03-01T08:00:00.25Z", "judged": 7, "equal": True}
    names = (UNION["organization"], CENTRE["organization"])
    union, centre = {**UNION, "score": 0.9}, {**CENTRE, "score": score}
    made = turn(equals=2, organizations=dict.fromkeys(names, asked))
    text = on_one_line(explained(hub, run, candidates=[union, centre], turn=made))
    assert f"of 2 equals, 2 were asked least recently (all at 2026-03-01 08:00:00Z), and {why}." in text


def test_sender_reads_the_day_of_the_latest_offer(hub: FakeHub, run: Run) -> None:
    """It sees no time, so two of one day need not have been asked at the same moment."""
    day = {"last_asked": "2026-03-01T00:00:00Z", "judged": 5, "equal": True}
    names = (UNION["organization"], CENTRE["organization"])
    made = turn(equals=2, organizations=dict.fromkeys(names, day))
    text = on_one_line(explained(hub, run, candidates=[UNION, CENTRE], turn=made))
    assert "asked least recently among 2 equals (last asked 2026-03-01)." in text
