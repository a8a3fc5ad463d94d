"""The previews of acts, the mailbox, the statistics and watched employers in the reader's language."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from contracts.codes import ApplicationState, ReporterClass, Urgency, WithdrawalOfApproval
from kopuro_client.commands import act_words, effect_words, statistics_words, watch
from kopuro_client.commands.code_words import WORDS, Texts
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.message_words import NAMES
from tests.unit.client.commands.conftest import Run, answering
from tests.unit.client.commands.test_statistics import TABLE
from tests.unit.client.fake_hub import FakeHub, json_response

ID: Final = "0199a0de-0000-7000-8000-000000000001"
OFFER: Final = {
    "id": "0199a0de-0000-7000-8000-000000000002",
    "organization": "ru.moscow-centre",
    "state": "open",
    "deadline": "2026-05-02T09:00:00Z",
}
REFERRAL: Final[dict[str, Any]] = {
    "id": ID,
    "sender": "kg.gone",
    "status": "offered",
    "acceptor": None,
    "facts": {"needs": ["legal.wage_claim"], "urgency": "urgent", "region": "RU-MOW"},
    "offers": [OFFER],
    "timeline": [],
}
ORGANIZATION: Final[dict[str, Any]] = {
    "id": "kg.gone",
    "vetting": "vetted",
    "active": True,
    "revision": 7,
    "services": [{"id": "house"}],
    "approved_services": [{"service": "house", "needs": ["health.hiv"]}],
}
COUNTS: Final = {one.value: number for number, one in enumerate(Urgency, start=1)}
APPLICATION: Final[dict[str, Any]] = {
    "id": ID,
    "state": "waiting",
    "application": {
        "name": "Ош",
        "kind": "ngo",
        "country": "KG",
        "proposed_id": "kg.new",
        "parent": None,
        "contact": {"name": "Айгүл", "email": None, "telephone": "+996"},
    },
}
RULE: Final = {
    "rule": "area_served",
    "passed": False,
    "reason": "out_of_area",
    "detail": {"region": "RU-MOW"},
}
CANDIDATE: Final = {"organization": "kg.gone", "service": "house", "rules": [RULE]}
LINES: Final = [
    ("coordination", "nudge", ID, "--reason", "no_answer"),
    ("coordination", "extend", ID, "--reason", "no_answer", "--until", "2026-05-03T09:00:00Z"),
    ("coordination", "move-on", ID, "--reason", "no_answer"),
    ("coordination", "place", ID, "kg.gone"),
    ("coordination", "withdraw", ID, "kg.gone", "--reason", "other"),
    ("coordination", "revoke-consent", ID, "kg.gone"),
    ("referral", "withdraw", ID, "--reason", "other"),
    ("referral", "revoke-consent", ID),
    ("organization", "suspend", "kg.gone", "--reason", "no_answer"),
    ("organization", "approve-service", "kg.gone", "house", "protection.trafficking", "--revision", "7"),
    ("organization", "withdraw-approval", "kg.gone", "house", "--reason", "service_changed"),
    ("organization", "vet-application", ID),
    ("organization", "refuse-application", ID, "--reason", "not_genuine"),
    ("organization", "vet", "kg.waits"),
    ("organization", "readmit", "kg.out"),
    ("watch", "retract", ID),
    ("webhook", "delete", "house"),
    ("credential", "revoke", "house"),
]


@pytest.fixture
def morning(hub: FakeHub) -> FakeHub:
    for service in ("routing", "intake"):
        hub.script("GET", f"/{service}/v1/referrals/{ID}", json_response(REFERRAL))
    hub.script("GET", f"/routing/v1/coordination/{ID}/candidates", json_response({"candidates": [CANDIDATE]}))
    hub.script("GET", "/directory/v1/organizations/kg.gone", json_response(ORGANIZATION))
    waits = {**ORGANIZATION, "id": "kg.waits", "vetting": "applied"}
    hub.script("GET", "/directory/v1/organizations/kg.waits", json_response(waits))
    out = {**ORGANIZATION, "id": "kg.out", "vetting": "suspended", "active": False}
    hub.script("GET", "/directory/v1/organizations/kg.out", json_response(out))
    endpoint = {"url": "house", "state": ""}
    hub.script("GET", "/delivery/v1/webhooks/house", json_response(endpoint))
    hub.script("GET", "/directory/v1/organizations/kg.new", json_response({}, status=404))
    hub.script("GET", f"/directory/v1/applications/{ID}", json_response(APPLICATION))
    hub.script(
        "GET",
        "/routing/v1/coordination/organizations/kg.gone/engagements",
        json_response(
            {"open_offers": COUNTS, "accepted": COUNTS, "sent": COUNTS, "sensitive_offers": {"house": 2}}
        ),
    )
    return hub


def told(text: str) -> list[str]:
    """The Latin words of a text that are neither ids, commands nor the choice of an answer."""
    for known in (ID, *(f"kopuro {one}" for one in ("coordination queue --organization kg.gone",))):
        text = text.replace(known, "")
    text = text.replace("kopuro: ", "").replace("[y/N]", "")
    text = re.sub(r"\b(?:kg|ru)\.[a-z-]+|\bhouse\b|\d\d:\d\d:\d\dZ", "", text)
    return re.findall("[A-Za-z][A-Za-z_.]+", text)


@pytest.mark.parametrize("language", ["ru", "ky"])
@pytest.mark.parametrize("line", LINES, ids=lambda line: " ".join(line[:2]))
def test_preview_of_an_act_has_no_english_word_and_no_code(
    morning: FakeHub, run: Run, terminal: io.StringIO, line: tuple[str, ...], language: str
) -> None:
    answering(terminal, "n")
    ran = run(*line, "--language", language, "--as", "coordinator")
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert told(ran.err) == []
    assert effect_words.effect("nothing", language) in ran.err


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "which cannot be undone"),
        ("ru", "отменить это нельзя"),
        ("ky", "муну жокко чыгарууга болбойт"),
    ],
)
def test_preview_of_a_retraction_says_in_each_language_that_it_cannot_be_undone(
    morning: FakeHub, run: Run, terminal: io.StringIO, language: str, said: str
) -> None:
    answering(terminal, "n")
    ran = run("watch", "retract", ID, "--language", language, "--as", "coordinator")
    assert said in ran.err


@pytest.mark.parametrize("answer", ["да", "ооба", "y"])
def test_answer_is_understood_in_each_language(
    morning: FakeHub, run: Run, terminal: io.StringIO, answer: str
) -> None:
    morning.otherwise = json_response({"id": "s1"}, status=202)
    answering(terminal, answer)
    ran = run(*LINES[0], "--language", "ky", "--as", "coordinator")
    assert ran.out == "s1\n"
    assert "эскертүү жазылды; жыйынтыгы почта кутусуна келет" in ran.err


def test_environment_sets_the_language_of_every_command(
    morning: FakeHub, run: Run, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPURO_LANGUAGE", "ru")
    answering(terminal, "n")
    assert "отправить это напоминание?" in run(*LINES[0], "--as", "coordinator").err
    answering(terminal, "n")
    english = run(*LINES[0], "--language", "en", "--as", "coordinator")
    assert "send this reminder?" in english.err
    monkeypatch.setenv("KOPURO_LANGUAGE", "fr")
    refused = run(*LINES[0], "--as", "coordinator")
    assert refused.code == 2
    assert "must be one of" in " ".join(refused.err.split())


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "reason=a coordinator withdrew it, withdrawn_for=the service is not what was approved"),
        ("ru", "причина=координатор отозвал, основание=услуга отличается от одобренной"),
        ("ky", "себеби=координатор кайтарып алды, негизи=кызмат бекитилгенден башкача"),
    ],
)
def test_message_says_why_an_approval_was_withdrawn(hub: FakeHub, run: Run, language: str, line: str) -> None:
    data = {"organization": "kg.gone", "reason": "withdrawn", "withdrawn_for": "service_changed"}
    ended = {**MESSAGE, "type": "kopuro.service_approval.ended.v1", "data": data}
    hub.script("GET", "/delivery/v1/mailbox", json_response({"items": [ended], "next": None}))
    assert line in run("mailbox", "list", "--language", language).out


MESSAGE: Final = {
    "id": ID,
    "type": "kopuro.referral.unplaced.v1",
    "time": "2026-05-01T09:00:00Z",
    "data": {
        "referral_id": ID,
        "urgency": "urgent",
        "needs": ["legal.wage_claim"],
        "region": "RU-MOW",
        "reason": "no_candidate",
    },
}


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "urgency=urgent, needs=unpaid wages, region=Moscow, reason=no organisation can be asked"),
        (
            "ru",
            "срочность=срочно, потребности=невыплата заработной платы, регион=Москва, "
            "причина=предложить некому",
        ),
    ],
)
def test_mailbox_prints_names_in_place_of_codes(hub: FakeHub, run: Run, language: str, line: str) -> None:
    hub.script("GET", "/delivery/v1/mailbox", json_response({"items": [MESSAGE], "next": None}))
    out = run("mailbox", "list", "--language", language).out
    assert line in out
    assert f"message={ID}" in out


@pytest.mark.parametrize("language", ["ru", "ky"])
def test_statistics_have_labels_and_words(hub: FakeHub, run: Run, language: str) -> None:
    hub.script("GET", "/audit/v1/statistics", json_response(TABLE))
    ran = run("statistics", "--by", "sex", "--language", language)
    assert re.findall("[A-Za-z]+", ran.out + ran.err) == []


@pytest.mark.parametrize("language", ["ru", "ky"])
def test_watched_employers_have_labels_and_words(hub: FakeHub, run: Run, language: str) -> None:
    item = {
        "id": ID,
        "employer": {"name": "Строй", "registration_number": None, "region": "RU-MOW", "country": "RU"},
        "practices": ["wages_withheld"],
        "first_month": "2026-01",
        "last_month": "2026-02",
        "reporters": "two_to_four",
        "until": "2026-09",
        "reply": None,
    }
    hub.script("GET", "/directory/v1/watched", json_response({"items": [item], "next": None}))
    hub.script("GET", f"/directory/v1/watched/{ID}", json_response(item))
    for line in (("list",), ("show", ID)):
        ran = run("watch", *line, "--language", language)
        assert ran.code == 0, ran.err
        assert re.findall("[A-Za-z]+", (ran.out + ran.err).replace(ID, "")) == []


def test_every_word_has_each_language_and_the_same_fields() -> None:
    tables: list[Mapping[str, Texts]] = [
        effect_words.EFFECTS,
        act_words.QUESTIONS,
        act_words.RECORDED,
        effect_words.COUNTED,
        act_words.APPLICATIONS,
        statistics_words.WORDS,
        watch._WORDS,
    ]
    for texts in (one for table in tables for one in table.values()):
        assert len(texts) == len(LANGUAGES)
        found = [sorted(re.findall(r"\{(\w+)\}", text)) for text in texts]
        assert found == [found[0]] * len(LANGUAGES), texts
    assert all(len(set(texts)) >= 1 and all(texts) for texts in NAMES.values())


def test_every_code_of_the_hub_has_words() -> None:
    assert set(ApplicationState) <= act_words.APPLICATIONS.keys()
    assert set(ReporterClass) <= watch._WORDS.keys()
    assert set(WithdrawalOfApproval) == WORDS["withdrawn_for"].keys()
