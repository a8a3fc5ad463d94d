"""`kopuro coordination wishes` and `coverage`: what the network lacks, and where."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from kopuro_client.commands.code_words import in_words, values_in_words
from kopuro_client.commands.labels import label
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import LIMIT, show_items
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import one_line
from kopuro_client.commands.queue_words import CHANGES, in_language, word
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.commands.session import Session
from kopuro_client.paging import following
from kopuro_client.records import Change, CoverageCell, Wish

REGION = Annotated[str | None, typer.Option(help="Only this region, or this country.")]
NEED = Annotated[str | None, typer.Option(help="Only this need, or this group of needs.")]
AS_CSV = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
PAGE: Final = 200
# The narrowest columns of counts.
_COUNT_WIDTH: Final = 13


def wishes(
    session: Session,
    region: REGION = None,
    need: NEED = None,
    limit: LIMIT = None,
    as_csv: AS_CSV = False,
    language: LANGUAGE = "en",
) -> None:
    """List the smallest changes that would place the most unplaced referrals.

    --csv has a row for each change; the changes of one wish have the same rank.
    """
    if as_csv:
        session.out.file(session.hub.wishes_csv(region=region, need=need, limit=limit).encode())
        return
    page = session.hub.wishes(region=region, need=need, limit=limit)
    show_items(session.out, page, lambda items: _show_wishes(session.out, items, language), language=language)


def _show_wishes(out: Output, items: list[Wish], language: str) -> None:
    headings = word("counts", language), word("emergencies", language)
    widths = [max(_COUNT_WIDTH, len(heading) + 2) for heading in headings]

    def columns(*values: object) -> str:
        return "".join(f"{value!s:<{width}}" for value, width in zip(values, widths, strict=True))

    out.text(columns(*headings) + word("by", language))
    for one in items:
        first = columns(one["referrals"], one["emergencies"])
        show_wrapped(out, wish_phrase(one, language), first=first)


def wish_phrase(wish: Wish, language: str) -> str:
    """Return a wish's changes as one phrase."""
    return word("and", language).join(_phrase(change, language) for change in wish["changes"])


def _phrase(change: Change, language: str) -> str:
    values = values_in_words(change, language)
    values["conditions"] = in_words("unmet", change.get("conditions", []), language)
    texts = CHANGES.get(change["kind"])
    if texts is None:
        return one_line(" ".join(str(value) for value in values.values() if value))
    text = in_language(texts, language, values).replace(" ()", "")
    if service := change.get("service"):
        named = word("its_service", language, service=service)
        text = f"{text[:-1]}; {named})" if text.endswith(")") else f"{text} ({named})"
    return one_line(text)


def coverage(
    session: Session,
    region: REGION = None,
    need: NEED = None,
    spoken: Annotated[str | None, typer.Option(help="Only this language of the person, such as ky.")] = None,
    lacking: Annotated[
        bool, typer.Option("--lacking", help="Only cells with referrals that found no organisation.")
    ] = False,
    as_csv: AS_CSV = False,
    language: LANGUAGE = "en",
) -> None:
    """Show who could help, by region, need and language, and how many referrals found no organisation.

    A service has fresh capacity if its organisation stated it lately. The counted offers are those that such
    organisations answered or let expire, and the referrals are those that found no organisation. --csv has a
    table.
    """
    out = session.out
    if as_csv:
        content = session.hub.coverage_csv(region=region, need=need, language=spoken, lacking=lacking)
        out.file(content.encode())
        return
    cells = list(
        following(
            lambda after: session.hub.coverage_page(
                region=region, need=need, language=spoken, lacking=lacking, after=after, limit=PAGE
            )
        )
    )
    if out.as_json:
        out.document({"items": cells})
    elif cells:
        _show_coverage(out, cells, language)
    else:
        out.note(word("none", language))


def _show_coverage(out: Output, cells: list[CoverageCell], language: str) -> None:
    """Print a line for each language, below its region and need, which have the codes for the filters."""
    region = need = None
    for cell in cells:
        if cell["region"] != region:
            if region is not None:
                out.blank()
            region, need = cell["region"], None
            out.heading(f"{label('regions', region, language)} ({region})")
        if cell["need"] != need:
            need = cell["need"]
            out.text(f"  {label('needs', need, language)} ({need})")
        counts = {name: value for name, value in cell.items() if isinstance(value, int)}
        spoken = label("languages", cell["language"], language)
        show_wrapped(
            out, word("covered", language, **counts, spoken=spoken), first="    ", following="      "
        )
