"""The end of a mixture of roles that an earlier build admitted: a principal keeps one role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from contracts.errors import Refused
from services.directory.domain.client import Client, Role
from services.directory.domain.separation import STAFF_ROLES
from services.directory.handlers.amqp_passwords import end_password_of
from services.directory.handlers.ledger import Ledger


def keep_role(
    ledger: Ledger, principal: str, role: Role, *, client_id: str | None = None, by: str
) -> Sequence[Client]:
    """Leave the principal this role alone; return its changed clients.

    Clients with the role keep it and their secrets; the others are revoked, as by `Credentials.revoke`. A
    member of the staff keeps one client: client_id names it where several have the role. No role is added.
    Raises Refused `not-found` if no live client has the role, and `conflict` if the rules forbid the outcome.
    """
    with ledger.writing() as writing:
        clients = [c for c in ledger.register.clients_of(writing.transaction, [principal]) if c.live]
        kept = {c.id for c in clients if role in c.roles and client_id in (None, c.id)}
        if not kept:
            raise Refused("not-found", "The principal has no live client with this id and role.")
        if role in STAFF_ROLES:
            if writing.organization(principal) is not None:
                raise Refused("conflict", "An organisation cannot have a role of the hub's staff.")
            if len(kept) > 1:
                raise Refused("conflict", f"Several clients have the role; name one of {sorted(kept)}.")
        changed = []
        for listed in clients:
            # Read again: the end of an earlier one may have replaced a password in it.
            present = writing.standing(Client, listed.id)
            assert present is not None
            client = present.entry
            wanted = replace(client, roles=(role,)) if client.id in kept else replace(client, live=False)
            if wanted != client:
                writing.put(wanted, by=by)
                changed.append(wanted)
            if not wanted.live:
                end_password_of(writing, wanted, by=by)
        return changed
