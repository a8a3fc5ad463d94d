"""Separation of roles: one role for each principal, and one client for each member of the hub's staff.

The log names the client of every read. So no client has an id that could be read as another organisation's,
whether that organisation exists or not. The directory refuses the organisation's id, ids that begin with it
and a dot (as the gateway's client `kg.name.amqp`), and ids that look like it (`lookalikes.py`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from contracts.errors import PointerError, Refused
from contracts.identifiers import ORGANIZATION_PATTERN
from services.directory.domain.client import Client, Role
from services.directory.domain.lookalikes import KnownIds

STAFF_ROLES = frozenset(Role) - {Role.partner}
# The organisation that a client id names: the whole id, or the part before its second dot.
_NAMES_ORGANIZATION = re.compile(ORGANIZATION_PATTERN.removesuffix("$") + r"(?=\.|$)")


def is_staff(client: Client) -> bool:
    """Return whether the client belongs to a member of the hub's staff."""
    return bool(STAFF_ROLES & set(client.roles))


def wrong_client_id(client: Client, present: Client | None = None) -> str | None:
    """Return the rule that the client's id breaks, as a sentence; None if it breaks none.

    present: the client of the same id, if there is one. A live client of an earlier build keeps its id, so
    that its secret can be replaced; `ambiguous_clients` reports it.
    """
    if present is not None and present.live:
        return None
    named = _NAMES_ORGANIZATION.match(client.id.lower())
    if named is None:
        return None
    if is_staff(client):
        return (
            "A client of the hub's staff cannot have an id like an organisation's, such as `kg.name` or "
            "`kg.name.desk`."
        )
    if named[0] == client.principal and client.id.startswith(client.principal):
        return None
    return f"Only a client of {named[0]} can have this id. Choose one that begins with `{client.principal}.`."


def ambiguous_clients(clients: Iterable[Client], known: KnownIds) -> list[str]:
    """Return the ids of live clients that could be read as another organisation's, sorted."""
    return sorted(
        client.id
        for client in clients
        if client.live and (wrong_client_id(client) or known.wrong_client(client)) is not None
    )


def wrong_new_organization(clients: Iterable[Client]) -> str | None:
    """Return the rule that a new organisation breaks, as a sentence; None if it breaks none.

    clients: those whose principal is the organisation's id. A member of the staff with the id of an
    organisation would read its mailbox, and would lose access with it.
    """
    if any(client.live and is_staff(client) for client in clients):
        return "A member of the hub's staff has this id. Choose another one."
    return None


def wrong_separation(
    wanted: Client, others: Iterable[Client], is_organization: Callable[[str], bool]
) -> str | None:
    """Return the rule that the client breaks, as a sentence; None if it breaks none.

    others: the live clients of the same principal. is_organization: whether the directory has a record of
    that id.
    """
    if len(wanted.roles) != 1:
        return "A principal has exactly one role."
    if is_staff(wanted) and is_organization(wanted.principal):
        return "An organisation cannot have a role of the hub's staff."
    for other in others:
        if other.id == wanted.id or not other.live:
            continue
        if other.roles != wanted.roles:
            return "The principal has another role. A principal has exactly one role."
        if is_staff(wanted):
            return "The principal has a client already. A client of the staff belongs to one person."
    return None


def wrong_change(present: Client, wanted: Client) -> tuple[str, str] | None:
    """Return the member that a client cannot change and the rule, as a sentence; None if it breaks none.

    present: the client of the same id. Its tokens would act for another organisation, or with another role.
    """
    if present.principal != wanted.principal:
        return "/principal", "This client id belongs to another principal."
    if present.live and present.roles != wanted.roles:
        return "/roles", "The role of a client cannot be changed. Revoke the client first."
    return None


def broken_principals(clients: Iterable[Client], is_organization: Callable[[str], bool]) -> Mapping[str, str]:
    """Return the rule that each principal's live clients break; principals that break none are left out."""
    live: dict[str, list[Client]] = defaultdict(list)
    for client in clients:
        if client.live:
            live[client.principal].append(client)
    broken = {}
    for principal, own in live.items():
        rules = (wrong_separation(client, own, is_organization) for client in own)
        if (rule := next(filter(None, rules), None)) is not None:
            broken[principal] = rule
    return broken


def separate_roles(
    client: Client, others: Iterable[Client], is_organization: Callable[[str], bool]
) -> frozenset[Role]:
    """Return the roles that the client's tokens may have: none of the staff's while separation is broken."""
    if wrong_separation(client, others, is_organization) is None:
        return frozenset(client.roles)
    return frozenset(client.roles) & {Role.partner}


def check_separation(
    wanted: Client,
    present: Client | None,
    others: Sequence[Client],
    is_organization: Callable[[str], bool],
    known: Callable[[], KnownIds],
) -> None:
    """Check a client that is to be registered. present: the client of the same id, if there is one.

    known: is asked for a new client only. Raises Refused `conflict`.
    """
    wrong = wrong_client_id(wanted, present)
    if wrong is None and (present is None or not present.live):
        wrong = known().wrong_client(wanted)
    if wrong is not None:
        raise Refused("conflict", wrong, errors=[PointerError(pointer="/client_id", detail=wrong)])
    broken, pointer = wrong_separation(wanted, others, is_organization), "/roles"
    if broken is None and present is not None and (change := wrong_change(present, wanted)) is not None:
        pointer, broken = change
    if broken is not None:
        raise Refused("conflict", broken, errors=[PointerError(pointer=pointer, detail=broken)])
