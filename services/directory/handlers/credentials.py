"""OAuth clients: issued with one or two persons' consent, revoked at once."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from contracts.errors import PointerError, Refused
from services.directory.domain.approval import Approval
from services.directory.domain.change import ClientIssue, RootClient
from services.directory.domain.client import SECRET_BYTES, Client, Role, digest
from services.directory.domain.client_key import ClientKey, KeySet, client_keys
from services.directory.domain.entry import Standing
from services.directory.domain.precondition import Precondition, check_precondition
from services.directory.handlers.amqp_passwords import end_password_of
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.earlier_clients import require_earlier
from services.directory.handlers.effects import take_effect
from services.directory.handlers.ledger import Ledger
from services.directory.handlers.owner_secrets import check_secret


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A client after its issue. secret: None if its owner made it; it is shown once and never stored."""

    standing: Standing[Client]
    created: bool
    secret: str | None


class Credentials:
    """Issues and revokes clients."""

    def __init__(
        self, ledger: Ledger, approvals: Approvals, check_points: Callable[[Sequence[ClientKey], str], None]
    ) -> None:
        """check_points: see `OwnCredentials`."""
        self._ledger = ledger
        self._approvals = approvals
        self._check_points = check_points

    def issue(
        self,
        by: str,
        *,
        client_id: str,
        principal: str,
        roles: tuple[Role, ...],
        secret_sha256: str | None = None,
        jwks: KeySet | None = None,
        expires_at: dt.datetime | None = None,
        precondition: Precondition | None = None,
    ) -> Issued | Approval:
        """Register a client, or replace its secret and keys; the old ones are invalid from the commit on.

        The tokens that they got end too. secret_sha256: of a secret that the client's owner made. If there is
        neither this nor jwks, a secret is made here, which only one-person approval permits, because nobody
        else may see it. expires_at: the end of the secret. Raises Refused: `conflict` if the client id
        belongs to another principal or the roles are not separate, `unknown-organization` if a partner is not
        in the directory, `precondition-required` if the client exists, `precondition-failed`, and
        `invalid-submission`, also for a secret that everybody knows.
        """
        if secret_sha256 is not None:
            check_secret(secret_sha256, client_id, principal)
        keys = () if jwks is None else client_keys(jwks, self._ledger.clock.now(), at="/jwks")
        self._check_points(keys, "/jwks")
        if keys:
            secret_sha256 = secret_sha256 or ""
        secret = None if secret_sha256 is not None else secrets.token_urlsafe(SECRET_BYTES)
        if secret is not None and self._approvals.two_persons:
            where = PointerError(pointer="/secret_sha256", detail="Required: the owner makes the secret.")
            raise Refused(
                "invalid-submission",
                "A second person must approve the credential, so its owner makes the secret and sends only "
                "the SHA-256 digest.",
                errors=[where],
            )
        change = ClientIssue(
            client_id=client_id,
            principal=principal,
            roles=tuple(sorted(set(roles))),
            secret_sha256=digest(secret) if secret is not None else secret_sha256 or "",
            keys=keys,
            expires_at=expires_at,
        )
        with self._ledger.writing() as writing:
            present = writing.standing(Client, client_id)
            if present is None or present.entry.principal == principal:
                check_precondition(None if present is None else present.revision, precondition)
            if self._approvals.two_persons:
                return self._approvals.request(writing, change, by=by)
            take_effect(writing, change, by=by)
            written = writing.standing(Client, client_id)
            assert written is not None
            return Issued(standing=written, created=present is None, secret=secret)

    def revoke(self, client_id: str, *, by: str, client: str = "", operator: bool) -> Standing[Client]:
        """Revoke a client; its tokens are refused from then on. A repetition changes nothing.

        The password at the partners' broker that it has set ends too (`amqp_passwords.end_password_of`). Its
        open requests for approval also end, because they would take room from the other clients' requests;
        each loss of standing ends them (`Approvals`).

        client: the client that asks. Raises Refused `not-found`, also for another principal's client unless
        `operator`, and `forbidden` (see `require_earlier`).
        """
        with self._ledger.writing() as writing:
            present = writing.standing(Client, client_id)
            if present is None or not (operator or present.entry.principal == by):
                raise Refused("not-found", "There is no client with this id.")
            if not operator:
                require_earlier(writing, client, client_id)
            # The broker keeps the password of a gateway's client, so the record keeps who has set it.
            revoked = replace(present.entry, live=False)
            standing = writing.put(revoked, by=by)
            end_password_of(writing, revoked, by=by)
            return standing

    def name_root(self, client_id: str, *, by: str) -> Standing[Client] | Approval:
        """Let a client come before the others of its organisation (`earlier_clients.py`).

        Returns the request if a second person must approve it too. A repetition changes nothing. Raises
        Refused `not-found` unless it is a live client of an organisation, and `conflict` for the gateway's.
        """
        with self._ledger.writing() as writing:
            present = writing.standing(Client, client_id)
            if present is None or present.entry.organization is None:
                raise Refused("not-found", "No organisation has a live client with this id.")
            if present.entry.root and present.entry.live:
                return present
            change = RootClient(client_id=client_id, organization=present.entry.organization)
            decided = self._approvals.decide(writing, change, by=by)
            if isinstance(decided, Approval):
                return decided
            named = writing.standing(Client, client_id)
            assert named is not None
            return named

    def page(self, principal: str | None, after: str, limit: int) -> list[Standing[Client]]:
        """Return clients with ids above `after`, ordered by id. principal: only its own; None: all."""
        where = {} if principal is None else {"principal": principal}
        with self._ledger.database.read() as transaction:
            return self._ledger.register.page(transaction, Client, where, after, limit)
