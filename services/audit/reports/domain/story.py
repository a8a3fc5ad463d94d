"""A referral's history as sentences for people. Pure: entries and phrases in, sentences out.

A sentence says what its entry says, and nothing that is not in it; an entry whose content has been erased
still has its sentence. The texts are plain: whoever writes them into a document escapes them.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.facts import OfferOpened

SITUATION: Final = (
    "needs",
    "urgency",
    "region",
    "stage",
    "origin_country",
    "age_band",
    "sex",
    "languages",
    "special_categories",
)
NOTHING: Final = "—"
# The longest free text there is, a note about a decline, has 500.
_LONGEST: Final = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One entry. type: the event's; data: its content, None once erased."""

    index: int
    time: dt.datetime
    type: str
    data: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """index: of the entry it was read from; time: of that entry."""

    index: int
    time: dt.datetime
    text: str

    @property
    def moment(self) -> str:
        """The time as people read it."""
        return _moment(self.time)


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """situation: names and values, empty where nothing is left of it."""

    language: str
    title: str
    situation_heading: str
    situation: tuple[tuple[str, str], ...]
    situation_lost: str
    events_heading: str
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """A language. phrases: sentences with `{names}` by code; label: `(kind, code)` to the code's label.

    names: the kinds whose labels are proper names and keep their capital inside a sentence.
    """

    language: str
    phrases: Mapping[str, str]
    label: Callable[[str, str], str]
    names: frozenset[str]


def tell(referral_id: str, entries: Sequence[Told], words: Words) -> Story:
    """The story of these entries, in their order. Total: content of any shape makes some sentence."""
    # The n-th offer of this referral. An offer's rank is its place in one decision: after a decline the next
    # organisation has rank 1 as well.
    offers = [entry.index for entry in entries if entry.type == OfferOpened.type]
    numbers = {index: str(number) for number, index in enumerate(offers, start=1)}
    return Story(
        language=words.language,
        title=words.phrases["title"].format_map({"referral": referral_id}),
        situation_heading=words.phrases["situation"],
        situation=_situation(entries, words),
        situation_lost=words.phrases["none_left"],
        events_heading=words.phrases["events"],
        sentences=tuple(
            Sentence(
                index=entry.index,
                time=entry.time,
                text=_sentence(entry, words, number=numbers.get(entry.index, NOTHING)),
            )
            for entry in entries
        ),
    )


def clean(text: str) -> str:
    """On one line, without what steers a terminal or turns the direction of writing; cut when too long."""
    line = " ".join(text.split())
    kept = "".join(char for char in line if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return kept if len(kept) <= _LONGEST else kept[:_LONGEST] + "…"


def inside_sentence(label: str) -> str:
    """The label with a small first letter: `Нет возможности` -> `нет возможности`.

    An abbreviation such as `ВИЧ` keeps its capitals. Not for proper names, which letters alone do not tell
    from other words.
    """
    # In Uzbek `Oʻ` the modifier belongs to the first letter.
    if label[1:].lstrip("ʻʼ")[:1].isupper():
        return label
    return label[:1].lower() + label[1:]


def _situation(entries: Sequence[Told], words: Words) -> tuple[tuple[str, str], ...]:
    for entry in entries:
        facts = (entry.data or {}).get("facts")
        if isinstance(facts, Mapping):
            stated = ((name, _value(name, facts.get(name), words)) for name in SITUATION)
            return tuple((words.phrases[name], value) for name, value in stated if value != NOTHING)
    return ()


def _sentence(entry: Told, words: Words, *, number: str) -> str:
    fact = entry.type.removeprefix("kopuro.").rpartition(".")[0] or entry.type
    if entry.data is None:
        return words.phrases["erased"].format_map({"fact": clean(fact)})
    answer = entry.data.get("answer")
    phrase = words.phrases.get(f"{fact}.{answer}") or words.phrases.get(fact) or words.phrases["unknown"]
    values = {name: _value(name, value, words, inside=True) for name, value in entry.data.items()}
    message = clean(str(entry.data.get("message_type", ""))).removeprefix("kopuro.").rpartition(".")[0]
    known = {**values, "fact": clean(fact), "message": message or NOTHING, "number": number}
    text = phrase.format_map(defaultdict(lambda: NOTHING, known))
    note = entry.data.get("note")
    if isinstance(note, str) and note:
        text += " " + words.phrases["said"].format_map({"note": clean(note)})
    return text


def _value(name: str, value: object, words: Words, *, inside: bool = False) -> str:
    """inside: whether the text before it, in a sentence or a list, makes its capital wrong."""
    if isinstance(value, list | tuple):
        items = [_value(name, item, words, inside=inside or place > 0) for place, item in enumerate(value)]
        return ", ".join(items) or NOTHING
    if isinstance(value, Mapping):
        if name == "problem":
            return _problem(value, words)
        value = value.get("id")
    if value is None or value == "":
        return NOTHING
    code = str(value)
    if name in ("deadline", "due_at", "opened_at", "replace_by"):
        try:
            return _moment(dt.datetime.fromisoformat(code))
        except ValueError:
            return clean(code)
    text = words.phrases.get(f"{name}.{code}")
    if text is None:
        text = words.label(name, code)
        # A code without a label is an identifier, which stays as it is.
        if inside and text != code and name not in words.names:
            text = inside_sentence(text)
    return clean(text)


def _problem(problem: Mapping[str, Any], words: Words) -> str:
    """Why a submission was refused: an RFC 9457 problem in the story's language."""
    reason = words.phrases.get(f"problem.{str(problem.get('type')).rpartition(':')[2]}", "")
    detail = clean(str(problem.get("detail") or problem.get("title") or "")).removesuffix(".")
    if not reason or not detail:
        return reason or detail or NOTHING
    # The detail is more exact than its kind, and only ever in English.
    return f"{reason} ({detail})" if words.language == "en" else reason


def _moment(time: dt.datetime) -> str:
    moment = time.astimezone(dt.UTC) if time.tzinfo else time
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
