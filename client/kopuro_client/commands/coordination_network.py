"""`kopuro coordination wishes` and `coverage`: what the network lacks, and where."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from kopuro_client.commands.lists import LIMIT, show_items
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import one_line
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.commands.session import Session
from kopuro_client.paging import following
from kopuro_client.records import Change, CoverageCell, Wish

REGION = Annotated[str | None, typer.Option(help="Only this region, or this country.")]
NEED = Annotated[str | None, typer.Option(help="Only this need, or this group of needs.")]
AS_CSV = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
PAGE: Final = 200
_COUNTS: Final = "{:<11}{:<13}"

# The hub's kinds of changes, as phrases.
_PHRASES: Final = {
    "agreement": "an agreement of the sender with {organization}",
    "vetting": "vetting of {organization}",
    "activity": "{organization} active again",
    "sealing_key": "a sealing key of {organization}",
    "approval": "approval of a service of {organization} for a sensitive need",
    "settlement": "{organization} serves this kind of settlement",
    "eligibility": "{organization} lifts a condition of its service",
    "funding": "a free service of {organization}",
    "opening_hours": "{organization} open at all hours",
    "area": "{organization} serves the region",
    "interpreter": "an interpreter for {language} in {region}",
    "places": "places for {need} in {region}",
    "service": "another service for {need} in {region}",
}


def wishes(
    session: Session,
    region: REGION = None,
    need: NEED = None,
    limit: LIMIT = None,
    as_csv: AS_CSV = False,
) -> None:
    """List the smallest changes that would place the most unplaced referrals.

    --csv has a row for each change; the changes of one wish have the same rank.
    """
    if as_csv:
        session.out.file(session.hub.wishes_csv(region=region, need=need, limit=limit).encode())
        return
    page = session.hub.wishes(region=region, need=need, limit=limit)
    show_items(session.out, page, lambda items: _show_wishes(session.out, items))


def _show_wishes(out: Output, items: list[Wish]) -> None:
    out.text(_COUNTS.format("referrals", "emergencies") + "would be placed by")
    for one in items:
        show_wrapped(out, wish_phrase(one), first=_COUNTS.format(one["referrals"], one["emergencies"]))


def wish_phrase(wish: Wish) -> str:
    """Return a wish's changes as one phrase."""
    return " and ".join(_phrase(change) for change in wish["changes"])


def _phrase(change: Change) -> str:
    phrase = _PHRASES.get(change["kind"], "{kind} {organization} {region} {need} {language}")
    return one_line(phrase.format_map({name: value or "" for name, value in change.items()}))


def coverage(
    session: Session,
    region: REGION = None,
    need: NEED = None,
    language: Annotated[str | None, typer.Option(help="Only this language.")] = None,
    lacking: Annotated[
        bool, typer.Option("--lacking", help="Only where referrals wait that found nobody.")
    ] = False,
    as_csv: AS_CSV = False,
) -> None:
    """Show who could help, by region, need and language, and how many referrals found nobody.

    serv: services. fresh: those whose capacity was confirmed lately. answ, exp: the offers that their
    organisations answered or let expire. wait: referrals that found nobody. --csv has the full names.
    """
    out = session.out
    if as_csv:
        content = session.hub.coverage_csv(region=region, need=need, language=language, lacking=lacking)
        out.file(content.encode())
        return
    cells = list(
        following(
            lambda after: session.hub.coverage_page(
                region=region, need=need, language=language, lacking=lacking, after=after, limit=PAGE
            )
        )
    )
    if out.as_json:
        out.document({"items": cells})
    elif cells:
        out.table(("region", "need", "lang", "serv", "fresh", "answ", "exp", "wait"), map(_row, cells))
    else:
        out.note("no items")


def _row(cell: CoverageCell) -> tuple[str | int, ...]:
    return (
        cell["region"],
        cell["need"],
        cell["language"],
        cell["services"],
        cell["fresh"],
        cell["answered"],
        cell["expired"],
        cell["unplaced"],
    )
