"""The OAuth client credentials grant. Source: RFC 6749 §4.4."""

from __future__ import annotations

import logging

from contracts.errors import Refused
from runtime.access.signer import TokenSigner, new_token_id
from runtime.access.tokens import Principal
from runtime.clock import Clock
from runtime.storage.database import Database
from services.directory.domain.client import NOBODY, Client
from services.directory.ports import Register

_log = logging.getLogger(__name__)


class TokenIssuer:
    """Issues tokens without storing them. It does not need the broker."""

    def __init__(self, *, database: Database, register: Register, signer: TokenSigner, clock: Clock) -> None:
        self._database = database
        self._register = register
        self._signer = signer
        self._clock = clock

    def issue(self, client_id: str, secret: str) -> str:
        """Return a token for the client's principal, valid for `runtime.access.signer.LIFETIME_SECONDS`.

        Raises Refused `invalid-client`, identical for an unknown client, a revoked one and a wrong secret.
        """
        with self._database.read() as transaction:
            found = self._register.standing(transaction, Client, [client_id]).get(client_id)
        client = NOBODY if found is None else found.entry
        if not client.knows(secret):
            raise Refused("invalid-client", "No client has this id and secret.")
        principal = Principal(id=client.principal, roles=frozenset(role.value for role in client.roles))
        token_id = new_token_id()
        token = self._signer.issue(principal, now=self._clock.now(), client_id=client.id, token_id=token_id)
        _log.info("token issued", extra={"client": client.id, "jti": token_id})
        return token
