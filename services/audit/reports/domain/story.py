"""A referral's history as sentences for people. Pure.

A sentence states only what its entry contains. An entry whose content is not available still has a sentence:
the content has been erased, or is withheld from the reader. The sentence does not say which, because the
reader may not learn of an erasure. The texts are unescaped: the document renderers escape them.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from contracts.facts import HistoryRead, OfferOpened, ReferralRead

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
# The reads that a line for people counts together. An export is a line of its own.
_READS: Final = frozenset({ReferralRead.type, HistoryRead.type})
NOTHING: Final = "—"
# The longest free text, a note about a decline, has at most 500 characters.
_LONGEST: Final = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class StoryEntry:
    """A log entry to narrate. type: the event's; data: its content, None once erased or withheld."""

    index: int
    time: dt.datetime
    type: str
    data: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence of a story. index, time, type: those of its entry."""

    index: int
    time: dt.datetime
    type: str
    text: str

    @property
    def moment(self) -> str:
        """The time in the format for people."""
        return _moment(self.time)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of a story for people: a sentence, or one for several consecutive reads of one reader on a day.

    time: of the first entry. first, last: the entries' indices.
    """

    first: int
    last: int
    time: dt.datetime
    text: str

    @property
    def moment(self) -> str:
        """The time in the format for people."""
        return _moment(self.time)

    @property
    def entries(self) -> str:
        """The index of the entry, or those of the first and the last one."""
        return str(self.first) if self.first == self.last else f"{self.first}…{self.last}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """A referral's story. situation: names and values, empty once erased or withheld.

    sentences: one for each entry. lines: for people, who need not read each of the reads.
    """

    language: str
    title: str
    situation_heading: str
    situation: tuple[tuple[str, str], ...]
    situation_lost: str
    events_heading: str
    sentences: tuple[Sentence, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The texts of a language.

    phrases: sentences with `{names}`, by code; label: `(kind, code)` to a label.
    names: the kinds whose labels are proper names and keep their capital inside a sentence.
    """

    language: str
    phrases: Mapping[str, str]
    label: Callable[[str, str], str]
    names: frozenset[str]


def build_story(
    referral_id: str,
    entries: Sequence[StoryEntry],
    words: Words,
    each: Callable[[Iterable[StoryEntry]], Iterable[StoryEntry]] = iter,
) -> Story:
    """Return the story of these entries, in their order. Total: accepts content of any shape.

    each: passes the entries on, and may let other work run in between.
    """
    # Offers are numbered within the referral. An offer's rank does not serve: it is its place in one
    # decision, and after a decline the next organisation has rank 1 again.
    offers = [entry.index for entry in entries if entry.type == OfferOpened.type]
    numbers = {index: str(number) for number, index in enumerate(offers, start=1)}
    sentences = tuple(
        Sentence(
            index=entry.index,
            time=entry.time,
            type=entry.type,
            text=_sentence(entry, words, number=numbers.get(entry.index, NOTHING)),
        )
        for entry in each(entries)
    )
    return Story(
        language=words.language,
        title=words.phrases["title"].format_map({"referral": referral_id}),
        situation_heading=words.phrases["situation"],
        situation=_situation(entries, words),
        situation_lost=words.phrases["none_left"],
        events_heading=words.phrases["events"],
        sentences=sentences,
        lines=tuple(_lines(entries, sentences, words)),
    )


def clean(text: str) -> str:
    """Return the text on one line, without control and bidirectional characters, truncated when too long."""
    line = " ".join(text.split())
    kept = "".join(char for char in line if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return kept if len(kept) <= _LONGEST else kept[:_LONGEST] + "…"


def inside_sentence(label: str) -> str:
    """The label with a small first letter: `Нет возможности` -> `нет возможности`.

    An abbreviation such as `ВИЧ` keeps its capitals. Do not use it for proper names, which letters alone do
    not tell from other words.
    """
    # In Uzbek `Oʻ` the modifier belongs to the first letter.
    if label[1:].lstrip("ʻʼ")[:1].isupper():
        return label
    return label[:1].lower() + label[1:]


def _situation(entries: Sequence[StoryEntry], words: Words) -> tuple[tuple[str, str], ...]:
    for entry in entries:
        facts = (entry.data or {}).get("facts")
        if isinstance(facts, Mapping):
            stated = ((name, _value(name, facts.get(name), words)) for name in SITUATION)
            return tuple((words.phrases[name], value) for name, value in stated if value != NOTHING)
    return ()


def _sentence(entry: StoryEntry, words: Words, *, number: str) -> str:
    fact = entry.type.removeprefix("kopuro.").rpartition(".")[0] or entry.type
    if entry.data is None:
        return words.phrases["unavailable"].format_map({"fact": clean(fact)})
    variants = [entry.data.get(name) for name in ("answer", "act", "reason")]
    if entry.data.get("onward_from") is not None:
        variants.append("onward")
    if fact == "replacement.submitted" and entry.data.get("to") is None:
        variants.append("in_custody")
    if fact == "referral.completed" and entry.data.get("organization") is None:
        variants.append("in_parts")
    if fact == "placement.submitted" and entry.data.get("reason") is not None:
        variants.append("with_reason")
    found = (words.phrases.get(f"{fact}.{variant}") for variant in variants if isinstance(variant, str))
    phrase = next(filter(None, found), None) or words.phrases.get(fact) or words.phrases["unknown"]
    values = {name: _value(name, value, words, inside=True) for name, value in entry.data.items()}
    message = clean(str(entry.data.get("message_type", ""))).removeprefix("kopuro.").rpartition(".")[0]
    known = {**values, "fact": clean(fact), "message": message or NOTHING, "number": number}
    text = phrase.format_map(defaultdict(lambda: NOTHING, known))
    overridden = entry.data.get("overridden")
    if isinstance(overridden, list | tuple) and overridden:
        text += " " + words.phrases["overrode"].format_map({"overridden": values["overridden"]})
    note = entry.data.get("note")
    if isinstance(note, str) and note:
        text += " " + words.phrases["said"].format_map({"note": clean(note)})
    return text


def _lines(entries: Sequence[StoryEntry], sentences: Sequence[Sentence], words: Words) -> Iterator[Line]:
    """Yield a line for each sentence, and one for consecutive reads of one reader on one day (UTC)."""
    of_reader = groupby(zip(entries, sentences, strict=True), key=lambda one: _read_by(one[0]))
    for read_by, group in of_reader:
        told = [sentence for _, sentence in group]
        if read_by is None or len(told) == 1:
            yield from (Line(first=s.index, last=s.index, time=s.time, text=s.text) for s in told)
            continue
        facts_only = {sentence.type for sentence in told} == {ReferralRead.type}
        text = words.phrases["referral.read.times" if facts_only else "reads.times"].format_map(
            {
                "reader": clean(read_by[0]),
                "times": len(told),
                "first": told[0].moment[11:19],
                "last": told[-1].moment[11:],
            }
        )
        yield Line(first=told[0].index, last=told[-1].index, time=told[0].time, text=text)


def _read_by(entry: StoryEntry) -> tuple[str, str] | None:
    """Return the reader and the day of a read; None for any other entry, and for an unavailable one."""
    reader = (entry.data or {}).get("reader")
    if entry.type not in _READS or not isinstance(reader, str):
        return None
    return reader, _moment(entry.time)[:10]


def _value(name: str, value: object, words: Words, *, inside: bool = False) -> str:
    """inside: whether the label stands inside a sentence or a list, where a capital would be wrong."""
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
    if name in ("deadline", "due_at", "opened_at", "replace_by", "until"):
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
    """Return why a submission was refused: an RFC 9457 problem in the story's language.

    A phrase about the first member at fault goes before the one about the type of the problem.
    """
    kind = f"problem.{str(problem.get('type')).rpartition(':')[2]}"
    reason = words.phrases.get(kind + _first_fault(problem)) or words.phrases.get(kind, "")
    detail = clean(str(problem.get("detail") or problem.get("title") or "")).removesuffix(".")
    if not reason or not detail:
        return reason or detail or NOTHING
    # The detail is more precise than the problem type, but exists only in English.
    return f"{reason} ({detail})" if words.language == "en" else reason


def _first_fault(problem: Mapping[str, Any]) -> str:
    """Return the pointer of the first member at fault, "" if the problem names none."""
    errors = problem.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return str(first.get("pointer", "")) if isinstance(first, Mapping) else ""


def _moment(time: dt.datetime) -> str:
    moment = time.astimezone(dt.UTC) if time.tzinfo else time
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
