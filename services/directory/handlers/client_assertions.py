"""Authentication of clients by a signed assertion. Each assertion is good for one token."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

from contracts.errors import RateLimited, Refused
from contracts.jose import encoded
from runtime.clock import Clock
from runtime.storage.database import Database
from services.directory.domain.client import Client
from services.directory.domain.client_assertion import check_assertion
from services.directory.domain.client_key import ClientKey, valid_keys
from services.directory.ports import AssertionReader, ProofKeyStore, Register


class ClientAssertions:
    """Checks assertions and remembers their ids."""

    def __init__(
        self,
        *,
        database: Database,
        register: Register,
        store: ProofKeyStore,
        reader: AssertionReader,
        audiences: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        """audiences: the values of `aud` that mean this hub's token endpoint."""
        self._database = database
        self._register = register
        self._store = store
        self._reader = reader
        self._audiences = audiences
        self._clock = clock

    def client(
        self,
        assertion: str,
        failed: Callable[[str, Client | None], object],
        *,
        stated: str | None = None,
    ) -> tuple[Client, ClientKey]:
        """Return the client that signed the assertion, which is good once, and the key.

        stated: the `client_id` beside the assertion, None if there is none; it must be the same (RFC 7521
        §4.2). failed: called with the client id and the client, if there is one, before a refusal. Raises
        Refused `invalid-client`, identical for an unknown client, a revoked one and a wrong key, and
        `clock-skew`. Raises what `failed` raises, unless the client's own key signed: its owner must learn
        what is wrong, however often others fail in its name. Raises DatabaseUnavailable.
        """
        client_id = self._reader.client_id(assertion)
        if client_id is None or "\0" in client_id:  # PostgreSQL text cannot contain NUL
            raise _unknown()
        if stated not in (None, client_id):
            raise Refused("invalid-client", "`client_id` must be the `sub` of the client assertion.")
        with self._database.read() as transaction:
            found = self._register.standing(transaction, Client, [client_id]).get(client_id)
        client = None if found is None else found.entry
        now = self._clock.now()
        keys = () if client is None or not client.live else valid_keys(client.keys, now)
        signed = ((key, self._reader.claims(assertion, [key])) for key in keys)
        key, claims = next((found for found in signed if found[1] is not None), (None, None))
        if client is None or key is None or claims is None:
            failed(client_id, client)
            raise _unknown()
        try:
            self._use(client, claims, now)
        except Refused:
            with suppress(RateLimited):
                failed(client_id, client)
            raise
        return client, key

    def _use(self, client: Client, claims: Mapping[str, Any], now: dt.datetime) -> None:
        checked = check_assertion(claims, client.id, self._audiences(), now)
        # Apart from the ids of proofs, which are the client's choice too and share the table.
        kept = f"jwt:{encoded(sha256(checked.id.encode()).digest())}"
        with self._database.write() as transaction:
            is_new = self._store.use(transaction, client.id, kept, now=now, until=checked.until)
        if not is_new:
            raise Refused(
                "invalid-client", "The client assertion was used before. Sign a new one for each request."
            )


def _unknown() -> Refused:
    return Refused("invalid-client", "No client has this id and key.")
