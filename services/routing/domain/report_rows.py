"""Reports, series, statements, coverage and wishes as rows of cells, for a spreadsheet.

Each function yields the names of the columns first. A withheld figure is the word for it in the reader's
language, and an empty cell means that there is no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.vocabularies import label
from services.routing.domain.coverage import Coverage
from services.routing.domain.report_view import TOTALS
from services.routing.domain.report_words import passed_over_label, word
from services.routing.domain.wishes import Wish

Cell = str | int | None
Row = Sequence[Cell]

_CODES: Final = ("region", "need", "language", "rule", "organization")
# The codes of a row, its label, and what is counted.
REPORT_COLUMNS: Final = ("week", "table", *_CODES, "label", "figure", "count", "at_least", "change")
# The figures of a statement that may be withheld; of the others a missing one has no value.
_WITHHOLDING: Final = ("considered", "passed_over")
STATEMENT_COLUMNS: Final = ("week", "organization", "label", "figure", "count", "change")
COVERAGE_COLUMNS: Final = (
    "region",
    "need",
    "language",
    "services",
    "fresh",
    "answered",
    "expired",
    "unplaced",
)
WISH_COLUMNS: Final = (
    "rank",
    "referrals",
    "emergencies",
    "change",
    "organization",
    "region",
    "need",
    "language",
    "conditions",
    "service",
)


def report_rows(found: Mapping[str, Any], language: str) -> Iterator[Row]:
    """Yield one row for each figure of a report, so that a spreadsheet can filter them.

    found: as `report_view` returns it in that language.
    """
    yield REPORT_COLUMNS

    def row(
        table: str, figure: str, one: Mapping[str, Any], label: str | None = None, **codes: str | None
    ) -> Row:
        names = (codes.get(name) for name in _CODES)
        amount = (_shown(one["count"], language), one.get("at_least"), one["change"])
        return (found["week"], table, *names, label, figure, *amount)

    for name in TOTALS:
        yield row("totals", name, found["totals"][name], word(name, language))
    yield row("totals", "median_answer_seconds", found["median_answer"], word("median", language))
    for gap in found["gaps"]:
        codes = {name: gap[name] for name in ("region", "need", "language")}
        yield row("gaps", "unplaced", gap, _place(gap["labels"], language), **codes)
    for rule in found["rules"]:
        yield row("rules", "unplaced", rule, rule["label"], rule=rule["rule"])
    for one in found["organizations"]:
        label = None if one["organization"] else word("others", language)
        for name, figure in _answers(one):
            yield row("organizations", name, figure, label, organization=one["organization"])


def series_rows(items: Iterable[Mapping[str, Any]], every: str, language: str) -> Iterator[Row]:
    """Yield a row for each span. items: as `series_view` returns them; every: the name of their length."""
    yield (every, "weeks", *(column for name in TOTALS for column in (name, f"{name}_at_least")))
    for one in items:
        counts = [(_shown(one[name]["count"], language), one[name]["at_least"]) for name in TOTALS]
        yield (one["span"], one["weeks"], *(cell for pair in counts for cell in pair))


def statement_rows(found: Mapping[str, Any], language: str) -> Iterator[Row]:
    """Yield one row for each figure of a statement. found: as `statement_view` returns it."""
    yield STATEMENT_COLUMNS
    for name, figure in (*_considered(found), *_answers(found)):
        label = _answer_label(name, language)
        yield (
            found["week"],
            found["organization"],
            label,
            name,
            _shown(figure["count"], language) if name.startswith(_WITHHOLDING) else figure["count"],
            figure["change"],
        )


def coverage_rows(cells: Iterable[Coverage]) -> Iterator[Row]:
    """Yield a row for each cell."""
    yield COVERAGE_COLUMNS
    for cell in cells:
        yield tuple(getattr(cell, name) for name in COVERAGE_COLUMNS)


def wish_rows(wishes: Iterable[Wish]) -> Iterator[Row]:
    """Yield a row for each change. The changes of one wish have the same rank and counts."""
    yield WISH_COLUMNS
    for rank, wish in enumerate(wishes, start=1):
        for change in wish.changes:
            counts = (rank, wish.referrals, wish.emergencies)
            place = (change.region, change.need, change.language)
            yield (
                *counts,
                change.kind.value,
                change.organization,
                *place,
                " ".join(change.conditions),
                change.service,
            )


def _considered(one: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "considered", one["considered"]
    yield "passed_over", one["passed_over"]
    for reason, figure in one["passed_over_by_reason"].items():
        yield f"passed_over.{reason}", figure


def _answers(one: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the figures of an organisation's week by their names."""
    for name in ("asked", "answered", "accepted"):
        yield name, one[name]
    for reason, figure in one["declined"].items():
        yield f"declined.{reason}", figure
    yield "silent", one["silent"]
    yield "median_answer_seconds", one["median_answer"]


def _answer_label(name: str, language: str) -> str:
    first, _, reason = name.partition(".")
    if reason and first == "passed_over":
        return f"{word(first, language)}: {passed_over_label(reason, language)}"
    if reason:
        return f"{word(first, language)}: {label('decline_reasons', reason, language)}"
    return word("median" if first == "median_answer_seconds" else first, language)


def _place(labels: Mapping[str, str | None], language: str) -> str:
    """Return the labels of a gap; "all others" for the parts that are not one code."""
    named = [name for name in labels.values() if name is not None]
    return " / ".join(named if len(named) == len(labels) else [*named, word("others", language)])


def _shown(count: int | None, language: str) -> Cell:
    return word("withheld", language) if count is None else count
