"""`kopuro organization list`: the organisations of the directory, or their services for a need or region."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.decision_sentences import phrase
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_items, show_page
from kopuro_client.commands.organization_words import standing, word
from kopuro_client.commands.output import Output
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.commands.session import Session
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import Service


def list_(
    session: Session,
    need: Annotated[
        str | None, typer.Option(help="List services for this need, or for a need of this group.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="List services in this region, or country.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only organisations of this kind, such as ngo or union.")
    ] = None,
    country: Annotated[
        str | None, typer.Option(help="Only organisations of this country, such as RU.")
    ] = None,
    after: AFTER = None,
    limit: LIMIT = None,
    language: LANGUAGE = "en",
) -> None:
    """List organisations by id; with --need or --region, the services that vetted organisations offer.

    Each service is shown with its capacity, languages and areas.
    """
    if need is None and region is None:
        show_page(
            session.out,
            session.hub.organizations_page(kind=kind, country=country, after=after, limit=limit),
            columns=[word(name, language) for name in ("organisation", "kind", "country", "standing")],
            row=lambda item: (
                item["id"],
                in_words("kind", item["kind"], language),
                in_words("country", item["country"], language),
                standing(item, language),
            ),
            language=language,
        )
        return
    if kind is not None or country is not None:
        raise InvalidArgumentError("--need and --region cannot be combined with --kind and --country")
    page = session.hub.services_page(need=need, region=region, after=after, limit=limit)
    show_items(
        session.out, page, lambda items: _show_services(session.out, items, language), language=language
    )


def _show_services(out: Output, services: Iterable[Service], language: str) -> None:
    for one in services:
        name = phrase("service", language, organization=one.get("organization"), service=one["id"])
        status = in_words("status", one["capacity"]["status"], language)
        spoken = in_words("languages", [*one["languages"], *one["interpretation"]], language)
        show_wrapped(out, f"{name}; {status}; {spoken}", following="      ")
        show_wrapped(out, in_words("region", one["areas"], language), first="    ")
