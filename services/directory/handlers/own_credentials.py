"""Self-service of a client: it rotates its secret, replaces its keys and ends its tokens.

A client changes only itself. Otherwise a thief of one credential could take over the organisation's other
clients, the gateway's too, and keep them after the stolen client was revoked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final

from contracts.errors import Refused
from runtime.access.signer import LIFETIME_SECONDS
from runtime.access.tokens import LEEWAY_SECONDS, Principal
from services.directory.domain.client import Client
from services.directory.domain.client_key import ClientKey, KeySet, client_keys
from services.directory.domain.entry import Standing
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.earlier_clients import require_earlier
from services.directory.handlers.ledger import Ledger, Writing
from services.directory.handlers.owner_secrets import check_secret

# The leeway counts twice: for the clock of the directory and for that of a verifier.
_TOKEN_LIFETIME: Final = dt.timedelta(seconds=LIFETIME_SECONDS + 2 * LEEWAY_SECONDS)


class OwnCredentials:
    """Changes that take effect at once. The principal's mailbox gets a notice of each.

    A client's changes raise RateLimited beyond its rate. A repetition that changes nothing is not counted.
    """

    def __init__(
        self,
        ledger: Ledger,
        check_points: Callable[[Sequence[ClientKey], str], None],
        rates: ChangeRates,
    ) -> None:
        """check_points: raises Refused for a key whose point is not on its curve; takes the set's pointer."""
        self._ledger = ledger
        self._check_points = check_points
        self._rates = rates

    def rotate(
        self, client_id: str, secret_sha256: str, *, by: Principal, expires_at: dt.datetime | None = None
    ) -> Standing[Client]:
        """Make a secret the present one; the earlier one is accepted for `OVERLAP` (see `Client.rotated`).

        Tokens stay valid. A repetition changes nothing. Raises Refused `not-found` unless `by` owns the live
        client, `forbidden` if it got its token with another one, `invalid-submission` for a secret that
        everybody knows, and `conflict` for the one that is retiring.
        """
        with self._ledger.writing() as writing:
            client = _own(writing, client_id, by)
            check_secret(secret_sha256, client.id, client.principal)
            if client.retiring is not None and client.retiring.sha256 == secret_sha256:
                raise Refused("conflict", "This is the secret that is being replaced. Make a new one.")
            return self._changed(
                writing, client, client.rotated(secret_sha256, writing.now, expires_at=expires_at), by
            )

    def replace_keys(self, client_id: str, submitted: KeySet, *, by: Principal) -> Standing[Client]:
        """Replace the client's public keys; a key that the set leaves out is refused from then on.

        The tokens that a removed key got are refused too; others stay valid (see `Client.with_keys`). Raises
        Refused `not-found` unless `by` owns the live client, `forbidden` if it got its token with another
        one, `invalid-submission`, and `conflict` if the client would have neither key nor secret.
        """
        with self._ledger.writing() as writing:
            client = _own(writing, client_id, by)
            keys = client_keys(submitted, writing.now)
            self._check_points(keys, "")
            if not keys and not client.secret_sha256:
                raise Refused("conflict", "The client has no secret, so it must keep at least one key.")
            changed = client.with_keys(keys, writing.now, lifetime=_TOKEN_LIFETIME)
            return self._changed(writing, client, changed, by)

    def revoke_tokens(self, client_id: str, *, by: Principal, operator: bool) -> Standing[Client]:
        """Refuse all tokens that the client has; it can get new ones.

        Raises Refused `not-found`, also for another principal's client unless `operator`, and `forbidden`
        (see `require_earlier`).
        """
        with self._ledger.writing() as writing:
            client = _live(writing, client_id)
            if not operator:
                if client.principal != by.id:
                    raise _not_found()
                require_earlier(writing, by.client_id, client_id)
                self._rates.take_revocation(by.client_id)
            return writing.put(client.without_tokens(writing.now), by=by.id)

    def revoke_tokens_of(self, organization: str, *, by: str) -> list[Standing[Client]]:
        """Refuse all tokens of all clients of an organisation. Raises Refused `not-found`."""
        with self._ledger.writing() as writing:
            if writing.organization(organization) is None:
                raise Refused("not-found", "The directory has no organisation with this id.")
            clients = self._ledger.register.clients_of(writing.transaction, [organization])
            return [
                writing.put(client.without_tokens(writing.now), by=by) for client in clients if client.live
            ]

    def _changed(self, writing: Writing, before: Client, after: Client, by: Principal) -> Standing[Client]:
        if after != before:
            self._rates.take_credential_change(by.client_id)
        return writing.put(after, by=by.id)


def _own(writing: Writing, client_id: str, by: Principal) -> Client:
    client = _live(writing, client_id)
    if client.principal != by.id:
        raise _not_found()
    if client.id != by.client_id:
        raise Refused(
            "forbidden",
            f"A client changes only its own secret and keys. Request a token as the client {client.id}, or "
            "ask the hub's operators to issue it again.",
        )
    return client


def _live(writing: Writing, client_id: str) -> Client:
    present = writing.standing(Client, client_id)
    if present is None or not present.entry.live:
        raise _not_found()
    return present.entry


def _not_found() -> Refused:
    return Refused("not-found", "There is no client with this id.")
