"""`kopuro organization list`: the organisations of the directory, or their services for a need or region."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from kopuro_client.commands.lists import AFTER, LIMIT, show_items, show_page
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
) -> None:
    """List organisations by id; with --need or --region, the services that vetted organisations offer.

    A service has its capacity, its languages and its areas.
    """
    if need is None and region is None:
        show_page(
            session.out,
            session.hub.organizations_page(kind=kind, country=country, after=after, limit=limit),
            columns=("organisation", "kind", "country", "standing"),
            row=lambda item: (
                item["id"],
                item["kind"],
                item["country"],
                item["vetting"] if item["active"] else f"{item['vetting']}, inactive",
            ),
        )
        return
    if kind is not None or country is not None:
        raise InvalidArgumentError("--need and --region cannot be combined with --kind and --country")
    page = session.hub.services_page(need=need, region=region, after=after, limit=limit)
    show_items(session.out, page, lambda items: _show_services(session.out, items))


def _show_services(out: Output, services: Iterable[Service]) -> None:
    for one in services:
        languages = ", ".join([*one["languages"], *one["interpretation"]])
        head = f"{one.get('organization')}  {one['id']}  {one['capacity']['status']}"
        show_wrapped(out, f"{head}  {languages}")
        show_wrapped(out, ", ".join(one["areas"]), first="    ")
