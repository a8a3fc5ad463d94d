"""`kopuro statistics`: count referrals by attribute, and trace a figure to its log entries."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.session import Session
from kopuro_client.commands.statistics_words import COMBINED, class_of, word
from kopuro_client.errors import InvalidArgumentError

MOST_NAMED: Final = 12


def statistics(
    session: Session,
    by: Annotated[
        str | None,
        typer.Option(
            help="One or two of sex, age_band, origin, region, need, stage, urgency, outcome, "
            "organization_kind, separated by a comma."
        ),
    ] = None,
    trace: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE of a figure: list the referrals and log entries that it counts. Repeatable. "
            "For auditors."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Only referrals submitted at or after this time (RFC 3339)."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Only referrals submitted before this time (RFC 3339).")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="With --by: show small figures too. For auditors and coordinators; do not publish them.",
        ),
    ] = False,
    language: LANGUAGE = "en",
) -> None:
    """Count referrals in a table that is safe to publish.

    Classes smaller than 5 are combined in one row. Figures below 5 are withheld, as are those
    from which they could be computed.
    """
    if (by is None) == (not trace):
        raise InvalidArgumentError("give either --by or --trace")
    if trace and (as_csv or exact):
        raise InvalidArgumentError("--csv and --exact require --by")
    if trace:
        _trace(session, _values(trace), since, until)
    elif by is not None:
        _show(session, by.split(","), since, until, language, as_csv=as_csv, exact=exact)


def _show(
    session: Session,
    by: list[str],
    since: str | None,
    until: str | None,
    language: str,
    *,
    as_csv: bool,
    exact: bool,
) -> None:
    out = session.out
    if as_csv:
        out.file(session.hub.statistics_csv(by, since=since, until=until, exact=exact).encode())
        return
    table = session.hub.statistics(by, since=since, until=until, exact=exact)
    if out.as_json:
        out.document(table)
        return
    withheld = word("withheld", language)
    out.table(
        (
            *(word(name, language) for name in by),
            *(word(name, language) for name in (f"{table['unit']}s", "median", "p90")),
        ),
        (
            (
                *(class_of(name, figure["values"].get(name, "all"), language) for name in by),
                withheld if figure["count"] is None else figure["count"],
                *(
                    (withheld, withheld)
                    if figure["times_withheld"]
                    else (
                        _span(figure["answered_median_seconds"], language),
                        _span(figure["answered_p90_seconds"], language),
                    )
                ),
            )
            for figure in table["figures"]
        ),
    )
    for name, classes in table["combined"].items():
        rows = {figure["values"].get(name) for figure in table["figures"]} - {None}
        if rows == {COMBINED}:
            out.note(word("would_reveal", language, name=word(name, language)))
            continue
        held = (
            ", ".join(class_of(name, one, language) for one in classes)
            if 0 < len(classes) <= MOST_NAMED
            else word("all_others", language)
        )
        out.note(word("combined_of", language, name=word(name, language), held=held))
    if table["withheld"]:
        out.note(word("why_withheld", language))
    if table["exact"]:
        out.note(word("exact", language))
    out.note(word("counted", language, size=table["log_size"]))


def _trace(session: Session, values: dict[str, str], since: str | None, until: str | None) -> None:
    for counted in session.hub.counted(values, since=since, until=until):
        if session.out.as_json:
            session.out.json_line(counted)
        else:
            session.out.text(f"{counted['referral_id']}  {' '.join(map(str, counted['entries']))}")


def _values(pairs: list[str]) -> dict[str, str]:
    values = dict(pair.partition("=")[::2] for pair in pairs)
    if not all(name and value for name, value in values.items()):
        raise InvalidArgumentError("--trace requires NAME=VALUE")
    return values


def _span(seconds: int | None, language: str) -> str:
    """Return a duration in its two largest units."""
    if seconds is None:
        return "—"
    minutes, hours = seconds // 60, seconds // 3600
    if hours >= 48:
        return word("days", language, days=hours // 24, hours=hours % 24)
    if hours:
        return word("hours", language, hours=hours, minutes=minutes % 60)
    return word("minutes", language, minutes=minutes, seconds=seconds % 60)
