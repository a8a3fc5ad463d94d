"""Stories state what the entries state, in every language, without injected markup."""

from __future__ import annotations

import datetime as dt
import re
import string
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import PointerError, Refused
from contracts.facts import CATALOGUE
from contracts.topology import EVENTS
from contracts.vocabularies import rows
from contracts.vocabularies.uzbek_cyrillic import cyrillic
from kopuro_client.commands.code_words import WORDS
from services.audit.reports.domain.readers import READ_TYPES
from services.audit.reports.domain.story import Story, StoryEntry, build_story, inside_sentence
from services.audit.reports.story_text import RENDERERS, as_html, as_markdown, as_text
from services.audit.reports.story_words import LANGUAGES, words_of
from services.routing.domain.rules import COORDINATOR_MAY_OVERRIDE
from tests.unit.contracts.test_vocabulary_files import ALPHABETS

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
OSH, MOSCOW = "kg.osh-legal-aid", "ru.moscow-union"
FACTS = {"needs": ["legal.wage_claim"], "urgency": "urgent", "region": "RU-MOW", "sex": "female"}


def story_entry(fact: str, index: int = 0, **data: Any) -> StoryEntry:
    return StoryEntry(index=index, time=NOON, type=f"kopuro.{fact}.v1", data=data)


STORY = [
    story_entry("referral.submitted", 3, sender=OSH, facts=FACTS),
    story_entry("offer.opened", 4, organization=MOSCOW, rank=1, deadline="2026-03-02T12:00:00Z"),
    story_entry("offer.declined", 5, organization=MOSCOW, reason="no_capacity", note="До мая мест нет"),
    story_entry("referral.unplaced", 6, reason="candidates_exhausted"),
    StoryEntry(index=7, time=NOON, type="kopuro.case.released.v1", data=None),
]


def test_story_names_actor_step_time_and_entry() -> None:
    text = as_text(build_story("r1", STORY, words_of("en")))
    assert "  Needs: Unpaid wages\n" in text
    assert "  2026-03-01 12:00:00 UTC  kg.osh-legal-aid submitted the referral.  [3]\n" in text
    assert "offered to ru.moscow-union (offer 1); an answer was due by 2026-03-02 12:00:00 UTC.  [4]" in text
    assert "ru.moscow-union declined: no capacity. They wrote: “До мая мест нет”  [5]" in text
    assert "No organisation was found: no suitable organisation accepted." in text
    assert "case.released: the content of this entry is no longer available.  [7]" in text


@pytest.mark.parametrize(
    ("language", "numbered"),
    [
        ("en", "(offer {})"),
        ("ru", "(предложение {})"),
        ("ky", "({}-сунуш)"),
        ("tg", "(пешниҳоди {})"),
        ("uz", "({}-taklif)"),
        ("uz-Cyrl", "({}-таклиф)"),
        ("kk", "({}-ұсыныс)"),
    ],
)
def test_story_numbers_offers_in_order(language: str, numbered: str) -> None:
    """Each of them has rank 1 in its own decision; the content of one is erased."""
    entries = [
        story_entry("offer.opened", 1, organization=MOSCOW, rank=1, deadline="2026-03-02T12:00:00Z"),
        StoryEntry(index=2, time=NOON, type="kopuro.offer.opened.v1", data=None),
        story_entry("offer.opened", 3, organization=OSH, rank=1, deadline="2026-03-02T12:00:00Z"),
    ]
    first, _, third = build_story("r1", entries, words_of(language)).sentences
    assert numbered.format(1) in first.text
    assert numbered.format(3) in third.text


PLACED: dict[str, str] = {
    "en": "(the person is at risk). The coordinator decided this although: the region is not covered, it was "
    "asked before.",
    "ru": "(человек в опасности). Координатор так решил, хотя: регион не охвачен, уже запрошена.",
    "ky": "(адам коркунучта). Координатор төмөнкүлөргө карабай чечти: аймак камтылган эмес, мурда суралган.",
    "tg": "(шахс дар хатар аст). Ҳамоҳангсоз бо вуҷуди ин чунин қарор кард: минтақа фаро гирифта нашудааст, "
    "пештар пурсида шудааст.",
    "uz": "(shaxs xavf ostida). Koordinator bunga qaramay shunday qaror qildi: hudud qamrab olinmagan, "
    "avval soʻralgan.",
    "uz-Cyrl": "(шахс хавф остида). Координатор бунга қарамай шундай қарор қилди: ҳудуд қамраб олинмаган, "
    "аввал сўралган.",
    "kk": "(адам қауіп астында). Үйлестіруші бұған қарамастан осылай шешті: аймақ қамтылмаған, "
    "бұрын сұралған.",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_story_says_who_placed_a_referral_why_and_against_which_rules(language: str) -> None:
    data = {"organization": MOSCOW, "coordinator": "kg.desk", "offers": []}
    entries = [
        story_entry("placement.submitted", 1, reason="person_at_risk", overridden=RULES, **data),
        story_entry("placement.submitted", 2, overridden=[], **data),
    ]
    with_reason, without = (one.text for one in build_story("r1", entries, words_of(language)).sentences)
    assert with_reason.endswith(PLACED[language])
    assert with_reason.startswith(without.removesuffix("."))
    assert MOSCOW in without
    assert "kg.desk" in without


RULES = ["area_served", "not_asked_before"]


def test_story_and_timeline_name_every_rule_that_a_coordinator_may_override() -> None:
    codes = {f"overridden.{rule}" for rule in COORDINATOR_MAY_OVERRIDE - {"not_in_chain"}}
    assert {code for code in words_of("en").phrases if code.startswith("overridden.")} == codes
    assert {f"overridden.{rule}" for rule in WORDS["overridden"]} == codes


REFUSALS = [
    ("answer.refused", {"organization": MOSCOW}),
    ("submission.refused", {"organization": MOSCOW}),
    ("hand_back.refused", {"organization": MOSCOW}),
    ("placement.refused", {"organization": MOSCOW, "coordinator": "kg.desk"}),
    ("coordinator_withdrawal.refused", {"organization": MOSCOW, "coordinator": "kg.desk"}),
]


@pytest.mark.parametrize(("fact", "data"), REFUSALS)
def test_refusal_gives_its_reason_in_the_language_of_the_story(fact: str, data: dict[str, Any]) -> None:
    late = Refused("offer-closed", "The deadline of the offer had passed when the answer came.").problem()
    reasons = {
        "en": "the offer was no longer open (The deadline of the offer had passed when the answer came).",
        "ru": "предложение уже не было открыто.",
        "ky": "сунуш жабылып калган.",
        "tg": "пешниҳод аллакай пӯшида буд.",
        "uz": "taklif allaqachon yopilgan edi.",
        "uz-Cyrl": "таклиф аллақачон ёпилган эди.",
        "kk": "ұсыныс жабылып қойған еді.",
    }
    assert set(reasons) == set(LANGUAGES)
    for language, reason in reasons.items():
        story = build_story("r1", [story_entry(fact, problem=late, **data)], words_of(language))
        assert story.sentences[0].text.endswith(reason)
        assert MOSCOW in story.sentences[0].text


# The act of a coordinator, and what the story says is missing.
MISSING = {
    "/reason": {
        "en": "a reason is missing (It is required)",
        "ru": "не указана причина",
        "ky": "себеби көрсөтүлгөн эмес",
        "tg": "сабаб нишон дода нашудааст",
        "uz": "sababi koʻrsatilmagan",
        "uz-Cyrl": "сабаби кўрсатилмаган",
        "kk": "себебі көрсетілмеген",
    },
    "/until": {
        "en": "the new deadline is missing or not allowed (It is required)",
        "ru": "новый срок не указан или недопустим",
        "ky": "жаңы мөөнөт көрсөтүлгөн эмес же жол берилбейт",
        "tg": "мӯҳлати нав нишон дода нашудааст ё иҷозат дода намешавад",
        "uz": "yangi muddat koʻrsatilmagan yoki ruxsat etilmaydi",
        "uz-Cyrl": "янги муддат кўрсатилмаган ёки рухсат этилмайди",
        "kk": "жаңа мерзім көрсетілмеген немесе рұқсат етілмейді",
    },
    "/other": {"en": "it did not follow the contract (It is required)", "ru": "сообщение составлено неверно"},
}


@pytest.mark.parametrize("pointer", MISSING)
def test_refused_act_says_what_is_missing(pointer: str) -> None:
    errors = [PointerError(pointer=pointer, detail="It is required.")]
    problem = Refused("invalid-submission", "It is required.", errors=errors).problem()
    entry = story_entry("placement.refused", organization=MOSCOW, coordinator="kg.c", problem=problem)
    for language, text in MISSING[pointer].items():
        told = build_story("r1", [entry], words_of(language)).sentences[0].text
        assert told.endswith(f"{text}.")


@pytest.mark.parametrize("errors", [None, [], ["reason"], [{}], {"pointer": "/reason"}])
def test_refusal_with_unreadable_errors_has_the_phrase_of_its_type(errors: object) -> None:
    problem = {**Refused("invalid-submission", "It is required.").problem(), "errors": errors}
    entry = story_entry("placement.refused", organization=MOSCOW, coordinator="kg.c", problem=problem)
    told = build_story("r1", [entry], words_of("ru")).sentences[0].text
    assert told.endswith("сообщение составлено неверно.")


@pytest.mark.parametrize("language", LANGUAGES)
def test_refusal_of_a_kind_without_a_phrase_shows_its_detail(language: str) -> None:
    problem = {"type": "urn:kopuro:problem:new-kind", "title": "New", "detail": "It is new."}
    story = build_story(
        "r1", [story_entry("answer.refused", organization=MOSCOW, problem=problem)], words_of(language)
    )
    assert "It is new." in story.sentences[0].text


@pytest.mark.parametrize(
    ("language", "continues", "continued"),
    [
        (
            "en",
            f"{MOSCOW} referred the person onward with this referral. It continues r1.",
            f"{MOSCOW} referred the person onward, with a new referral and a consent of its own: r2.",
        ),
        (
            "ru",
            f"{MOSCOW} этим направлением направила человека в другую организацию. Оно продолжает r1.",
            f"{MOSCOW} направила человека в другую организацию: новое направление с отдельным согласием, r2.",
        ),
        (
            "ky",
            f"{MOSCOW} адамды ушул жолдомо менен башка уюмга жөнөттү. Ал r1 жолдомосун улантат.",
            f"{MOSCOW} адамды өзүнчө макулдугу бар жаңы жолдомо менен башка уюмга жөнөттү: r2.",
        ),
    ],
)
def test_story_has_both_ends_of_an_onward_referral(language: str, continues: str, continued: str) -> None:
    entries = [
        story_entry("referral.submitted", 1, sender=MOSCOW, facts=FACTS, onward_from="r1"),
        story_entry("referral.referred_onward", 2, sender=OSH, organization=MOSCOW, onward="r2"),
    ]
    told = build_story("r1", entries, words_of(language)).sentences
    assert [one.text for one in told] == [continues, continued]


@pytest.mark.parametrize(
    ("language", "split", "part", "completed"),
    [
        (
            "en",
            "No organisation that could be asked covers all needs. The referral continues in parts: r2, r3.",
            "This referral is a part of r1, for some of its needs.",
            "All parts have ended; the referral is completed: resolved.",
        ),
        (
            "ru",
            "Ни одна организация, которой можно предложить, не охватывает все потребности. Направление "
            "разделено на части: r2, r3.",
            "Это направление — часть направления r1, для некоторых из его потребностей.",
            "Все части завершились; направление завершено — вопрос решён.",
        ),
    ],
)
def test_story_has_both_ends_of_a_split_and_the_end_of_the_whole(
    language: str, split: str, part: str, completed: str
) -> None:
    entries = [
        story_entry("referral.split", 1, sender=OSH, parts=["r2", "r3"]),
        story_entry("part.opened", 2, sender=OSH, part_of="r1", facts=FACTS),
        story_entry("referral.completed", 3, sender=OSH, organization=None, outcome="resolved"),
    ]
    story = build_story("r1", entries, words_of(language))
    assert [one.text for one in story.sentences] == [split, part, completed]
    assert story.situation


def test_steps_within_one_minute_have_different_times() -> None:
    entries = [
        StoryEntry(index=n, time=NOON + dt.timedelta(seconds=n), type="kopuro.offer.expired.v1", data={})
        for n in range(3)
    ]
    moments = [sentence.moment for sentence in build_story("r1", entries, words_of("en")).sentences]
    assert moments == [f"2026-03-01 12:00:0{n} UTC" for n in range(3)]


def test_story_in_russian_and_kyrgyz_uses_vocabulary_labels() -> None:
    russian, kyrgyz = (as_text(build_story("r1", STORY, words_of(language))) for language in ("ru", "ky"))
    assert "отказ — нет возможности принять" in russian
    assert "Невыплата заработной платы" in russian
    assert "баш тартты: кабыл алууга мүмкүнчүлүк жок" in kyrgyz
    assert "Төлөнбөгөн эмгек акы" in kyrgyz
    assert "Аймак: Москва" in kyrgyz


@pytest.mark.parametrize(
    ("label", "inside"),
    [
        ("Нет возможности принять", "нет возможности принять"),
        ("В работе", "в работе"),
        ("ВИЧ", "ВИЧ"),
        ("АИВ боюнча жардам", "АИВ боюнча жардам"),
        ("АИТВ-мен өмір сүретін адам", "АИТВ-мен өмір сүретін адам"),
        ("Oʻz ishini boshlash", "oʻz ishini boshlash"),
        ("OʻZ", "OʻZ"),
        ("Ҷойи холӣ", "ҷойи холӣ"),
        ("0–11 лет", "0–11 лет"),
        ("", ""),
    ],
)
def test_label_inside_sentence_starts_small_unless_it_is_abbreviation(label: str, inside: str) -> None:
    assert inside_sentence(label) == inside


def test_russian_sentence_has_no_capital_after_its_dash() -> None:
    entries = [
        story_entry("progress.submitted", organization="Фонд", status="in_progress"),
        story_entry("offer.declined", organization="Фонд", reason="no_capacity"),
        story_entry("referral.completed", organization="Фонд", outcome="resolved"),
    ]
    assert [sentence.text for sentence in build_story("r1", entries, words_of("ru")).sentences] == [
        "Фонд: сообщено о ходе работы — в работе.",
        "Фонд: отказ — нет возможности принять.",
        "Фонд: направление завершено — вопрос решён.",
    ]


def test_situation_lists_labels_with_one_capital_and_keeps_names() -> None:
    stated = {
        "needs": ["legal.wage_claim", "basic_needs.food"],
        "region": "RU-MOW",
        "origin_country": "KG",
        "languages": ["ky", "ru"],
    }
    entries = [story_entry("referral.submitted", sender=OSH, facts=stated)]
    assert [value for _, value in build_story("r1", entries, words_of("ru")).situation] == [
        "Невыплата заработной платы, питание",
        "Москва",
        "Кыргызстан",
        "Киргизский, русский",
    ]
    assert ("Languages", "Kyrgyz, Russian") in build_story("r1", entries, words_of("en")).situation


def test_identifier_without_label_keeps_its_capital() -> None:
    entries = [story_entry("offer.declined", organization="Org", reason="New_reason")]
    assert build_story("r1", entries, words_of("ru")).sentences[0].text == "Org: отказ — New_reason."


def _names(phrase: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(phrase) if name}


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one not in ("en", "ru")])
def test_unanswered_emergency_has_the_urgency_of_its_label(language: str) -> None:
    words = words_of(language)
    assert words.label("urgency", "emergency").lower() in words.phrases["referral.unanswered"].lower()


def test_phrases_have_the_same_placeholders_in_every_language() -> None:
    english, *others = (words_of(language).phrases for language in LANGUAGES)
    for phrases in others:
        assert phrases.keys() == english.keys()
        for code, phrase in phrases.items():
            assert phrase.strip()
            assert _names(phrase) == _names(english[code]), code


def test_uzbek_cyrillic_phrase_is_the_latin_one_transliterated() -> None:
    latin, written = words_of("uz").phrases, words_of("uz-Cyrl").phrases
    assert {code: cyrillic(phrase) for code, phrase in latin.items()} == written


@pytest.mark.parametrize("language", LANGUAGES)
def test_phrase_has_only_letters_of_its_language(language: str) -> None:
    for code, phrase in words_of(language).phrases.items():
        letters = {c for c in re.sub(r"\{[^}]*\}", "", phrase).lower() if c.isalpha()}
        assert letters <= set(ALPHABETS[language]), (code, phrase)


EVERY_LABEL: dict[str, list[str]] = {
    "needs": list(rows("needs")),
    "urgency": list(rows("urgencies")),
    "region": list(rows("regions")),
    "stage": list(rows("stages")),
    "origin_country": list(rows("regions")),
    "age_band": list(rows("age_bands")),
    "sex": list(rows("sexes")),
    "languages": list(rows("languages")),
    "special_categories": list(rows("special_categories")),
}


def _texts(story: Story) -> list[str]:
    headings = [story.title, story.situation_heading, story.events_heading]
    stated = [text for pair in story.situation for text in pair]
    return [*headings, *stated, *(sentence.text for sentence in story.sentences)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_story_has_no_untranslated_label_or_phrase(language: str) -> None:
    """Every label and phrase there is, with identifiers and notes that have no letters."""
    entries = [story_entry("referral.submitted", sender="1", facts=EVERY_LABEL)]
    for reason in [*rows("decline_reasons"), *rows("hand_back_reasons"), *rows("withdrawal_reasons")]:
        entries.append(story_entry("offer.declined", organization="1", reason=reason, note="1"))
    entries += [
        story_entry("referral.completed", organization="1", outcome=code) for code in rows("outcomes")
    ]
    entries += [
        story_entry("referral.progressed", organization="1", status=code)
        for code in rows("referral_statuses")
    ]
    for phrase in words_of("en").phrases:
        kind, _, code = phrase.partition(".")
        if kind == "reason":
            entries.append(story_entry("offer.revoked", organization="1", reason=code))
        if kind == "result":
            entries.append(story_entry("placement.answered", organization="1", coordinator="1", result=code))
    entries += [story_entry(code, organization="1") for code in words_of("en").phrases if "." in code]

    story = build_story("1", entries, words_of(language))

    assert len(story.situation) == len(EVERY_LABEL)
    texts, english = _texts(story), _texts(build_story("1", entries, words_of("en")))
    for text, in_english in zip(texts, english, strict=True):
        letters = {c for c in text.lower() if c.isalpha()}
        assert letters
        assert letters <= set(ALPHABETS[language]), text
        assert language == "en" or text != in_english


def test_every_fact_of_a_referral_has_a_phrase_that_names_only_what_it_holds() -> None:
    phrases = words_of("en").phrases
    for fact in CATALOGUE.values():
        fields = set(fact.__dataclass_fields__) if hasattr(fact, "__dataclass_fields__") else set()
        if fact.exchange != EVENTS or ("referral_id" not in fields and fact.type not in READ_TYPES):
            continue
        if fact.routing_key in ("receipts.issued", "receipt.issued", "log.exported", "message.closed"):
            continue  # never an entry of a referral
        answers = ("", ".accept", ".decline") if fact.routing_key == "answer.submitted" else ("",)
        found = [phrases[key] for answer in answers if (key := fact.routing_key + answer) in phrases]
        assert found, fact.routing_key
        for phrase in found:
            assert _names(phrase) <= fields | {"message", "number"}, fact.routing_key


HOSTILE = "<script>alert(1)</script> [x](http://y) `z` **b** {sender} %s \x1b[31m\u202e|\n# h"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)


def test_foreign_text_never_becomes_markup_or_a_placeholder() -> None:
    entries = [
        story_entry("offer.declined", organization=HOSTILE, reason=HOSTILE, note=HOSTILE, sender="LEAK")
    ]
    story = build_story("r1", entries, words_of("en"))
    tags = Tags()
    tags.feed(as_html(story))
    assert "script" not in tags.seen
    assert "<script" not in as_html(story)
    markdown = as_markdown(story)
    for markup in ("<script", "[x](", "`z`", "**b**", "\n# h"):
        assert markup not in markdown
    for rendered in (as_html(story), markdown, as_text(story)):
        assert "LEAK" not in rendered
        assert "\x1b" not in rendered
        assert "\u202e" not in rendered


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
facts = st.sampled_from(sorted(CATALOGUE)) | st.text(max_size=20)
fields = st.sampled_from(
    ["facts", "organization", "reason", "deadline", "answer", "note", "message_type", "problem"]
)


@given(facts, st.none() | st.dictionaries(fields, json), st.sampled_from(LANGUAGES))
def test_content_of_any_shape_makes_one_line_in_every_format(type: str, data: Any, language: str) -> None:
    story = build_story("r1", [StoryEntry(index=0, time=NOON, type=type, data=data)], words_of(language))
    (sentence,) = story.sentences
    assert sentence.text.splitlines() == [sentence.text] or not sentence.text
    for _, render in RENDERERS.values():
        assert render(story).encode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_story_of_erased_content_states_nothing(language: str) -> None:
    story = build_story(
        "r1",
        [StoryEntry(index=0, time=NOON, type="kopuro.referral.submitted.v1", data=None)],
        words_of(language),
    )
    assert story.situation == ()
    assert story.situation_lost in as_html(story)


# --- reads, counted on one line for people ------------------------------------------------------------


def _read(index: int, *, at: int, fact: str = "referral.read", reader: str = "aigul") -> StoryEntry:
    time = NOON + dt.timedelta(minutes=at)
    data = {"reader": reader, "entries": 1}
    return StoryEntry(index=index, time=time, type=f"kopuro.{fact}.v1", data=data)


READS = [_read(index, at=index) for index in range(8, 11)]


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "aigul read the facts of this referral 3 times between 12:08:00 and 12:10:00 UTC."),
        ("ru", "aigul: просмотрены сведения этого направления (сколько раз: 3; с 12:08:00 по 12:10:00 UTC)."),
        ("ky", "aigul бул жолдомонун маалыматын 3 жолу карады (12:08:00 – 12:10:00 UTC)."),
    ],
)
def test_consecutive_reads_of_one_reader_are_one_line(language: str, told: str) -> None:
    story = build_story("r1", [STORY[0], *READS, STORY[2]], words_of(language))
    assert [line.entries for line in story.lines] == ["3", "8…10", "5"]
    assert story.lines[1].text == told
    for render in (as_text, as_markdown, as_html):
        assert render(story).count("aigul") == 1
        assert "8…10" in render(story)


def test_every_read_is_an_entry_of_the_document_for_programs() -> None:
    story = build_story("r1", READS, words_of("en"))
    assert [sentence.index for sentence in story.sentences] == [8, 9, 10]
    assert RENDERERS["json"][1](story).count("aigul read the facts of this referral.") == 3


def test_reads_of_facts_and_of_the_history_are_counted_together() -> None:
    reads = [*READS, _read(11, at=20, fact="history.read")]
    [line] = build_story("r1", reads, words_of("en")).lines
    assert line.text == (
        "aigul read the facts or the history of this referral 4 times between 12:08:00 and 12:20:00 UTC."
    )


@pytest.mark.parametrize(
    "between",
    [
        _read(9, at=9, reader="bakyt"),
        _read(9, at=13 * 60),
        _read(9, at=9, fact="history.exported"),
        STORY[1],
        StoryEntry(index=9, time=NOON, type="kopuro.referral.read.v1", data=None),
    ],
)
def test_reads_with_something_else_between_them_are_lines_of_their_own(between: StoryEntry) -> None:
    story = build_story("r1", [READS[0], between, READS[2]], words_of("en"))
    assert [line.text for line in story.lines] == [sentence.text for sentence in story.sentences]
