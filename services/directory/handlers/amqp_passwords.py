"""Passwords at the partners' broker: an organisation asks for another one, and the gateway applies it.

The directory has no access to that broker, and the gateway has no resources of its own. So the hash of the
new password waits in the record of the gateway's client, and the request ends that client's tokens. The
gateway asks for the hash whenever it has got a token. So it asks at once, or when it is up again. A crash of
either loses nothing: a hash waits until the gateway reports that the broker has it.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from contracts.base64_text import encoded
from contracts.broker_rights import gateway_client
from contracts.errors import Refused
from runtime.access.tokens import Principal
from services.directory.domain.client import Client
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.earlier_clients import require_earlier
from services.directory.handlers.ledger import Ledger, Writing
from services.directory.handlers.owner_secrets import check_password

# Four bytes of salt and a SHA-256 digest.
_HASH_BYTES: Final = 36


class AmqpPasswords:
    """Each method raises Refused `not-found` for an organisation without a live client of the gateway."""

    def __init__(self, ledger: Ledger, rates: ChangeRates) -> None:
        self._ledger = ledger
        self._rates = rates

    def replace(self, password_hash: str, *, by: Principal) -> None:
        """Let a password wait for the gateway, in place of one that waits. A repetition changes nothing.

        The organisation's mailbox gets the notice `credential.issued` about the gateway's client. Raises
        Refused `invalid-submission` for a password that everybody knows, and `forbidden` for a client that is
        newer than the gateway's: its thief would get the mailbox at the partners' broker. Raises RateLimited
        for a client that changes credentials too often.
        """
        check_password(password_hash, by.id)
        with self._ledger.writing() as writing:
            client = _gateways_client(self._ledger, writing.transaction, by.id)
            require_earlier(writing, by.client_id, client.id)
            if client.amqp_password_hash != password_hash:
                self._rates.take_credential_change(by.client_id)
                waiting = replace(client, amqp_password_hash=password_hash, amqp_password_by=by.client_id)
                writing.put(waiting.without_tokens(writing.now), by=by.id)

    def waiting(self, *, by: Principal) -> str:
        """Return the hash that waits for the gateway; empty: none waits."""
        with self._ledger.database.read() as transaction:
            return _gateways_client(self._ledger, transaction, by.id).amqp_password_hash

    def applied(self, password_hash: str, *, by: Principal) -> None:
        """Record that the broker has this password. Another one that waits meanwhile keeps waiting.

        Raises Refused `forbidden` unless `by` is the gateway.
        """
        if not by.is_gateway:
            raise Refused("forbidden", "Only the gateway may report a password as applied.")
        with self._ledger.writing() as writing:
            client = _gateways_client(self._ledger, writing.transaction, by.id)
            if client.amqp_password_hash == password_hash:
                writing.put(replace(client, amqp_password_hash=""), by=by.id)


def end_password_of(writing: Writing, revoked: Client, *, by: str) -> None:
    """Replace a password that the revoked client has set by one that nobody knows.

    The client's thief would otherwise stay connected to the partners' broker. A password that another client
    has set stays: the thief has seen its hash at most. One that an operator has set at the broker since is
    replaced too, because the directory does not know of it. While the gateway's client is revoked, the new
    one waits in its record: the gateway applies it before it lets the organisation in again.
    """
    if revoked.organization is None:
        return
    gateway = writing.standing(Client, gateway_client(revoked.organization))
    if (
        gateway is None
        or gateway.entry.organization != revoked.organization
        or gateway.entry.amqp_password_by != revoked.id
    ):
        return
    unknown = encoded(secrets.token_bytes(_HASH_BYTES))
    ended = replace(gateway.entry, amqp_password_hash=unknown, amqp_password_by="")
    writing.put(ended.without_tokens(writing.now) if ended.live else ended, by=by)


def _gateways_client(ledger: Ledger, transaction: Connection, organization: str) -> Client:
    client_id = gateway_client(organization)
    found = ledger.register.standing(transaction, Client, [client_id]).get(client_id)
    if found is None or not found.entry.live or found.entry.organization != organization:
        raise Refused("not-found", "This organisation is not connected over AMQP.")
    return found.entry
