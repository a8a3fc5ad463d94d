"""`kopuro coordination report` and `statistics`, and `kopuro organization statement`: weeks in figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.fixed_values import one_of
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.new_file import new_file
from kopuro_client.commands.output import Output
from kopuro_client.commands.queue_words import word as queue_word
from kopuro_client.commands.report_words import word
from kopuro_client.commands.session import Session
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.report_records import (
    Figure,
    Gap,
    MonthSum,
    OrganizationWeek,
    SpanCount,
    Statement,
    WeeklyReport,
)

WEEK = Annotated[
    str | None, typer.Option(help="ISO week in UTC, such as 2026-W07; by default the latest with a report.")
]
MONTH = Annotated[
    str | None, typer.Option(help="Month, such as 2026-10: the ISO weeks whose Thursday lies in it.")
]
OUTPUT = Annotated[
    Path | None,
    typer.Option(help="Write the month with its proofs to this file; existing files are not overwritten."),
]
AS_CSV = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
TOTALS: Final = ("submitted", "unplaced", "asked", "answered", "silent")
SPANS: Final = ("week", "month")


def report(session: Session, week: WEEK = None, language: LANGUAGE = "en", as_csv: AS_CSV = False) -> None:
    """Show a week of the network: where and why no organisation was found, and how each one answered.

    Figures below 5 are withheld, as are those from which they could be computed, so the report may be passed
    on. A week has a report once it has ended. Organisations see their own figures with `kopuro organization
    statement`.
    """
    if as_csv:
        session.out.file(session.hub.weekly_report_csv(week, language=language).encode())
        return
    found = session.hub.weekly_report(week, language=language)
    if session.out.as_json:
        session.out.document(found)
    else:
        _show(session.out, found, language)


def statistics(
    session: Session,
    every: Annotated[
        str,
        typer.Option(
            callback=one_of(SPANS), help="week or month. A month is the weeks whose Thursday is in it."
        ),
    ] = "week",
    limit: Annotated[int, typer.Option(min=1, max=200, help="The number of weeks or months.")] = 12,
    language: LANGUAGE = "en",
    as_csv: AS_CSV = False,
) -> None:
    """Show the totals of the latest weeks or months.

    A month of which a week is withheld has the sum of the other weeks, marked with ≥.
    """
    out = session.out
    if as_csv:
        out.file(session.hub.network_statistics_csv(every, limit=limit, language=language).encode())
        return
    found = session.hub.network_statistics(every, limit=limit)
    if out.as_json:
        out.document({"every": every, "items": found})
    elif found:
        rows = (
            (one["span"], one["weeks"], *(_counted(one[name], language) for name in TOTALS)) for one in found
        )
        out.table(
            (
                word(f"every_{every}", language),
                word("weeks", language),
                *(word(name, language) for name in TOTALS),
            ),
            rows,
        )
    else:
        out.note(queue_word("none", language))


def statement(
    session: Session,
    week: WEEK = None,
    month: MONTH = None,
    output: OUTPUT = None,
    language: LANGUAGE = "en",
    as_csv: AS_CSV = False,
) -> None:
    """Show your own organisation's week: how often it was considered, passed over and asked, and its answers.

    Small figures of how often it was considered and passed over are withheld. With `--month` it shows a
    month, and with `--output` it writes the month with its proofs, for `kopuro verify statement`.
    """
    out = session.out
    if month is not None or output is not None:
        if week is not None or as_csv:
            raise InvalidArgumentError("--week and --csv cannot be combined with --month and --output")
        _month(session, month, output, language)
        return
    if as_csv:
        out.file(session.hub.statement_csv(week, language=language).encode())
        return
    found = session.hub.statement(week)
    if out.as_json:
        out.document(found)
        return
    out.heading(found["organization"], word("week", language, week=found["week"]))
    rows = _considered(found, language)
    figures = {name: found[name] for name in ("asked", "answered", "accepted")}
    rows += [(word(name, language), *_amount(figure, language)) for name, figure in figures.items()]
    rows += [
        (f"{word('declined', language)}: {in_words('reason', reason, language)}", *_amount(figure, language))
        for reason, figure in found["declined"].items()
        if figure["count"]
    ]
    rows.append((word("silent", language), *_amount(found["silent"], language)))
    rows.append((word("median", language), _duration(found["median_answer"], language), ""))
    out.table(("", word("count", language), word("change", language)), rows)


def _month(session: Session, month: str | None, output: Path | None, language: str) -> None:
    out = session.out
    if output is not None:
        with new_file(output) as write:
            content = json.dumps(session.hub.proved_statement(month), ensure_ascii=False).encode()
            write(content)
        if out.as_json:
            out.document({"file": str(output), "bytes": len(content)})
        else:
            out.text(output)
        return
    found = session.hub.monthly_statement(month)
    if out.as_json:
        out.document(found)
        return
    figures = found["statement"]
    out.heading(figures["organization"], figures["month"])
    out.text(word("weeks_counted", language, weeks=", ".join(figures["weeks"])))
    over = word("passed_over", language)
    rows = [
        (word("considered", language), _counted(figures["considered"], language)),
        (over, _counted(figures["passed_over"], language)),
        *(
            (f"{over}: {word(f'passed_over.{reason}', language)}", _counted(figure, language))
            for reason, figure in figures["passed_over_by_reason"].items()
            if figure["at_least"]
        ),
        (word("asked", language), str(figures["asked"])),
        (word("answered", language), str(figures["answered"])),
        (word("accepted", language), str(figures["accepted"])),
        *(
            (f"{word('declined', language)}: {in_words('reason', reason, language)}", str(count))
            for reason, count in figures["declined"].items()
            if count
        ),
        (word("silent", language), str(figures["silent"])),
    ]
    out.table(("", word("count", language)), rows)
    if found["issued"] is None:
        out.note(word("not_issued", language))


def _considered(found: Statement, language: str) -> list[tuple[str, str, str]]:
    """Return the rows of how often the organisation was considered; older hubs have none."""
    if "considered" not in found:
        return []
    over = word("passed_over", language)
    return [
        (word("considered", language), *_amount(found["considered"], language)),
        (over, *_amount(found["passed_over"], language)),
        *(
            (f"{over}: {word(f'passed_over.{reason}', language)}", *_amount(figure, language))
            for reason, figure in found["passed_over_by_reason"].items()
            if figure["count"] is not None
        ),
    ]


def _show(out: Output, found: WeeklyReport, language: str) -> None:
    def heading(name: str) -> None:
        out.blank()
        out.heading(word(name, language))

    def columns(*names: str) -> tuple[str, ...]:
        return tuple(word(name, language) for name in names)

    out.heading(word("week", language, week=found["week"]))
    if found["before"] is not None:
        out.text(word("against", language, before=found["before"]))
    totals = [(word(name, language), *_amount(found["totals"][name], language)) for name in TOTALS]
    totals.append((word("median", language), _duration(found["median_answer"], language), ""))
    out.table(("", *columns("count", "change")), totals)
    heading("gaps")
    out.table(
        columns("region", "need", "language", "count", "change"),
        ((*_place(gap, language), *_amount(gap, language)) for gap in found["gaps"]),
    )
    heading("rules")
    _told(
        out,
        columns("rule", "count", "change"),
        [(one["label"], *_amount(one, language)) for one in found["rules"]],
        language,
    )
    heading("organizations")
    _told(
        out,
        columns("organization", "asked", "answered", "accepted", "declined", "silent", "median"),
        [_organization(one, language) for one in found["organizations"]],
        language,
    )
    out.note(word("legend", language, threshold=found["threshold"]))


def _told(out: Output, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], language: str) -> None:
    """Print the rows that show a figure, and how many do not. --csv and --json have all."""
    nothing = {word("withheld", language), "", "-"}
    told = [row for row in rows if not nothing.issuperset(row[1:])]
    if told:
        out.table(columns, told)
    if len(told) < len(rows):
        out.text(word("all_withheld", language, rows=len(rows) - len(told)))


def _organization(one: OrganizationWeek, language: str) -> tuple[str, ...]:
    declined = ", ".join(
        f"{figure['count']} {in_words('reason', reason, language)}"
        for reason, figure in one["declined"].items()
        if not figure["withheld"]
    )
    return (
        one["organization"] or word("others", language),
        *(_amount(figure, language)[0] for figure in (one["asked"], one["answered"], one["accepted"])),
        declined or word("withheld", language),
        _amount(one["silent"], language)[0],
        _duration(one["median_answer"], language),
    )


def _place(gap: Gap, language: str) -> tuple[str, str, str]:
    """Return the labels of a gap; "all others" for the first part that is not one code."""
    labels = gap["labels"]
    names = [labels["region"], labels["need"], labels["language"]]
    named = [name for name in names if name is not None]
    rest = [word("others", language), "", ""][: 3 - len(named)]
    first, second, third = (*named, *rest)
    return first, second, third


def _amount(figure: Figure, language: str) -> tuple[str, str]:
    """Return a figure and its change as texts."""
    if figure["count"] is None:
        least = figure.get("at_least", 0)
        return (f"≥ {least}" if least else word("withheld", language)), ""
    return str(figure["count"]), "" if figure["change"] is None else f"{figure['change']:+d}"


def _duration(figure: Figure, language: str) -> str:
    seconds = figure["count"]
    if seconds is None:
        return word("withheld", language) if figure["withheld"] else "-"
    return word("hours", language, hours=seconds // 3600, minutes=f"{seconds % 3600 // 60:02}")


def _counted(count: SpanCount | MonthSum, language: str) -> str:
    if count["count"] is not None:
        return str(count["count"])
    return f"≥ {count['at_least']}" if count["at_least"] else word("withheld", language)
