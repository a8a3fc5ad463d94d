"""`kopuro organization capacity`: an organisation states what a service of its own can take now."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer

from kopuro_client.commands.fixed_values import CAPACITY_STATUSES, listed, one_of
from kopuro_client.commands.membership import ORGANIZATION
from kopuro_client.commands.session import Session
from kopuro_client.errors import InvalidArgumentError


def capacity(
    session: Session,
    organization: ORGANIZATION,
    service: Annotated[str, typer.Argument(help="The service's id.")],
    status: Annotated[
        str, typer.Argument(callback=one_of(CAPACITY_STATUSES), help=f"{listed(CAPACITY_STATUSES)}.")
    ],
    maximum: Annotated[
        int | None, typer.Option(min=0, help="The largest number of units at once; by default the record's.")
    ] = None,
) -> None:
    """State the capacity of your service, as of now. Routing uses it for the next decision.

    Capacities in further units stay as they are. The change is refused if the record changes meanwhile.
    """
    record = session.hub.organization(organization)
    services = record["services"]
    if service not in {one["id"] for one in services}:
        raise InvalidArgumentError(f"{organization} has no service {service}")
    stated: dict[str, Any] = {"status": status, "updated_at": dt.datetime.now(dt.UTC).isoformat()}
    if maximum is not None:
        stated["maximum"] = maximum
    changed = [
        {**one, "capacity": {**one["capacity"], **stated}} if one["id"] == service else one
        for one in services
    ]
    # A list is replaced as a whole, so the change is based on the record that was read.
    after = session.hub.update_organization(organization, {"services": changed}, revision=record["revision"])
    if session.out.as_json:
        session.out.document(after)
    else:
        session.out.text(f"{service}: {status}")
