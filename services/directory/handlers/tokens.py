"""The OAuth client credentials grant. Source: RFC 6749 §4.4, RFC 7523 §2.2."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable

from contracts.errors import Refused
from contracts.organization import Organization
from runtime.access.signer import TokenSigner, new_token_id
from runtime.access.standing import EXCLUDED, exempt_from_exclusion
from runtime.access.tokens import BY_SECRET, Principal
from runtime.clock import Clock
from runtime.storage.database import Database
from services.directory.domain.client import MINIMUM_SECRET, NOBODY, Client
from services.directory.domain.separation import separate_roles
from services.directory.handlers.client_assertions import ClientAssertions
from services.directory.handlers.failed_attempts import FailedAttempts
from services.directory.handlers.request_proofs import RequestProofs
from services.directory.ports import Register

_log = logging.getLogger(__name__)


class TokenIssuer:
    """Issues tokens without storing them. It does not need the broker.

    A client that shows its secret for the first time registers the key that proves its requests.
    """

    def __init__(
        self,
        *,
        database: Database,
        register: Register,
        signer: Callable[[], TokenSigner],
        proofs: RequestProofs,
        assertions: ClientAssertions,
        failed: FailedAttempts,
        clock: Clock,
    ) -> None:
        self._database = database
        self._proofs = proofs
        self._assertions = assertions
        self._failed = failed
        self._register = register
        self._signer = signer
        self._clock = clock

    def issue(self, client_id: str, secret: str) -> str:
        """Return a token for the client's principal, valid for `runtime.access.signer.LIFETIME_SECONDS`.

        Raises Refused `invalid-client`, identical for an unknown client, a revoked one and a wrong secret,
        with another text for a secret that is shorter than any client's; `unauthorized-client` for an
        excluded organisation and for staff whose roles are not separate, as an earlier build admitted them;
        and RateLimited after many failures for the client id.
        """
        # Taken before the client is read: what revokes its tokens meanwhile refuses this one, too.
        now = self._clock.now()
        with self._database.read() as transaction:
            found = self._register.standing(transaction, Client, [client_id]).get(client_id)
        client = NOBODY if found is None else found.entry
        known = client.secret_known(secret, now)
        if known is None:
            self._failed.add(client_id, None if found is None else client)
            if len(secret) < MINIMUM_SECRET:
                minimum = f"A client secret has at least {MINIMUM_SECRET} characters."
                raise Refused("invalid-client", f"{minimum} Check that your program has it.")
            raise Refused("invalid-client", "No client has this id and secret.")
        principal = self._principal(client)
        self._proofs.register_key(client, secret, known)
        return self._token(principal, client, now, BY_SECRET)

    def issue_for(self, assertion: str, client_id: str | None = None) -> str:
        """Return a token for the client that signed the assertion.

        client_id: what the request says beside the assertion.

        Raises what `issue` and `ClientAssertions.client` raise.
        """
        now = self._clock.now()
        client, key = self._assertions.client(assertion, self._failed.add, stated=client_id)
        return self._token(self._principal(client), client, now, key.thumbprint)

    def _principal(self, client: Client) -> Principal:
        with self._database.read() as transaction:
            organization = self._register.standing(transaction, Organization, [client.principal])
            others = self._register.clients_of(transaction, [client.principal])
        roles = separate_roles(client, others, lambda principal: principal in organization)
        if not roles:
            raise Refused(
                "unauthorized-client",
                "The principal has several roles, and a member of the staff may have only one. An operator "
                "must remove the others.",
            )
        principal = Principal(id=client.principal, roles=frozenset(role.value for role in roles))
        excluded = any(standing.entry.is_excluded for standing in organization.values())
        if excluded and not exempt_from_exclusion(principal.roles):
            raise Refused("unauthorized-client", EXCLUDED)
        return principal

    def _token(self, principal: Principal, client: Client, now: dt.datetime, credential: str) -> str:
        token_id = new_token_id()
        # The epoch of the client as it was read: a revocation that commits meanwhile ends this token, too.
        token = self._signer().issue(
            principal,
            now=now,
            client_id=client.id,
            token_id=token_id,
            epoch=client.token_epoch,
            credential=credential,
        )
        _log.info("token issued", extra={"client": client.id, "jti": token_id})
        return token
