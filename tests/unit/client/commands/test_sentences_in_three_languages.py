"""The coordinators' sentences say the same in English, Russian and Kyrgyz, with case endings and dashes."""

from __future__ import annotations

import csv
import datetime as dt
import importlib
import io
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from kopuro_client import commands
from kopuro_client.commands.act_words import RECORDED
from kopuro_client.commands.code_words import WORDS
from kopuro_client.commands.coordination_queue import show_queue
from kopuro_client.commands.decision_sentences import PHRASES as PHRASES_OF_DECISIONS
from kopuro_client.commands.decision_sentences import TRIGGERS
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.output import Output
from kopuro_client.commands.queue_words import CHANGES, REASONS
from kopuro_client.commands.queue_words import WORDS as QUEUE_WORDS
from kopuro_client.commands.referral_words import STEPS
from kopuro_client.commands.rule_sentences import SENTENCES, TO_SENDER
from kopuro_client.commands.simulation_words import WORDS as SIMULATION_WORDS
from kopuro_client.commands.watch import _WORDS as WATCH_WORDS
from services.routing.domain.wishes import ChangeKind
from tests.unit.client.commands.test_coordination import ITEM

TIME: Final = "2026-05-01T09:00:00Z"
# The phrases of a referral's history.
PHRASES: Final = Path(__file__).parents[4] / "services" / "audit" / "reports" / "phrases.csv"


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
    found = [text for text in texts if re.search(r"\} (чейин|баштап|тартып|карата)(?!\w)", text)]
    assert found == []


@pytest.mark.parametrize(
    "text", [QUEUE_WORDS["next_step"], RECORDED["application_refused"]], ids=["next step", "refused"]
)
def test_kyrgyz_time_of_an_event_has_the_ending_of_at(text: tuple[str, str, str]) -> None:
    """It is a time with seconds, so `күнү` (on the day) would be wrong."""
    assert " at {" in text[0]
    assert re.search(r"\} учурунда ", text[2])


def test_english_says_who_was_offered_the_referrals_that_the_sender_ended() -> None:
    """After `the sender`, `it` would be the sender."""
    said = SENTENCES["withdrawn_too_often"][0]
    assert said.index("offered to it") < said.index("the sender")


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
