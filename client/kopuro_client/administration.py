"""Clients and approvals: what the hub's operators decide, and what a partner sees of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from kopuro_client.arguments import text, texts
from kopuro_client.connection import Connection
from kopuro_client.paging import following
from kopuro_client.records import Approval, KeptKey, Organization, Page, RegisteredClient


class Administration:
    """The directory's resources for clients and approvals (`Kopuro.administration`)."""

    def __init__(self, connection: Connection, at: Callable[..., str]) -> None:
        """at: returns the URL of a path below the directory's `/v1`."""
        self._connection = connection
        self._at = at

    def approvals_page(
        self, *, state: str | None = None, after: str | None = None, limit: int | None = None
    ) -> Page[Approval]:
        """Return approvals, oldest first. state: requested, granted, refused, expired or stale."""
        params = {"state": state, "after": after, "limit": limit}
        return cast("Page[Approval]", self._connection.page(self._at("approvals"), params))

    def approvals(self, *, state: str | None = None, limit: int | None = None) -> Iterator[Approval]:
        """Iterate over all approvals. limit: page size."""
        return following(lambda after: self.approvals_page(state=state, after=after, limit=limit))

    def approval(self, approval_id: str) -> Approval:
        """Return one approval with exactly what was requested."""
        return cast(Approval, self._connection.get(self._at("approvals", text(approval_id, "an approval"))))

    def approve(self, approval_id: str) -> Approval:
        """Approve a request, as its second person, so that it takes effect.

        A partner's request for its own key needs two approvals: after the first one it is still `requested`.
        """
        url = self._at("approvals", text(approval_id, "an approval"), "approve")
        return cast(Approval, self._connection.post(url, {}))

    def refuse(self, approval_id: str) -> Approval:
        """Refuse a request, or withdraw it as its requester. It then has no effect."""
        url = self._at("approvals", text(approval_id, "an approval"), "refuse")
        return cast(Approval, self._connection.post(url, {}))

    def approve_service(
        self, organization_id: str, service_id: str, needs: Iterable[str], *, revision: int
    ) -> Organization | Approval:
        """Approve a service for exactly these sensitive needs, as an operator or a coordinator.

        Returns the changed record, or the request if a second person must approve it. revision: the record's
        that you read, with the service as you approve it; the approval is refused if it has a later one.
        """
        body = {"needs": list(texts(needs, "needs"))}
        answer = self._connection.post(
            self._service_approval(organization_id, service_id), body, revision=revision
        )
        return cast("Organization | Approval", answer)

    def withdraw_service_approval(self, organization_id: str, service_id: str, reason: str) -> Organization:
        """Withdraw a service's approval: it is no longer asked for sensitive needs. Returns the record.

        reason: person_at_risk, agreement_breached, data_misused, service_changed, asked_by_organization or
        other; the organisation and the log get it. A repetition changes nothing.
        """
        url = f"{self._service_approval(organization_id, service_id)}/withdraw"
        body = {"reason": text(reason, "a reason")}
        return cast(Organization, self._connection.post(url, body, repeatable=True))

    def suspend(self, organization_id: str, reason: str, *, revision: int | None = None) -> Organization:
        """Suspend an organisation at once, as a coordinator or an operator; return its record.

        reason: person_at_risk, agreement_breached, data_misused, credentials_stolen, no_answer,
        asked_by_organization or other; the log keeps it. revision: the record's that you read; the suspension
        is refused if it has a later one. A repetition changes nothing; another reason is a new
        revision.
        """
        url = self._at("organizations", text(organization_id, "an organisation"), "suspend")
        body = {"reason": text(reason, "a reason")}
        return cast(Organization, self._connection.post(url, body, revision=revision, repeatable=True))

    def clients_page(self, *, after: str | None = None, limit: int | None = None) -> Page[RegisteredClient]:
        """Return the registered clients: every one for an operator, its own for a partner."""
        params = {"after": after, "limit": limit}
        return cast("Page[RegisteredClient]", self._connection.page(self._at("credentials"), params))

    def issue_client(
        self,
        principal: str,
        role: str,
        *,
        client_id: str | None = None,
        secret_sha256: str | None = None,
        keys: Sequence[Mapping[str, Any]] | None = None,
        revision: int | None = None,
    ) -> RegisteredClient | Approval:
        """Register a client, or replace its secret and keys; return it, or the request for approval.

        secret_sha256: hexadecimal digest of the secret that its owner made; required where a second person
        approves. keys: public JWKs with which the client signs instead. revision: of the client whose secret
        is replaced.
        """
        body: dict[str, Any] = {
            "principal": text(principal, "a principal"),
            "roles": list(texts([role], "roles")),
            "client_id": client_id,
            "secret_sha256": secret_sha256,
            "jwks": None if keys is None else {"keys": list(keys)},
        }
        given = {name: value for name, value in body.items() if value is not None}
        answer = self._connection.post(self._at("credentials"), given, revision=revision)
        return cast("RegisteredClient | Approval", answer)

    def rotate_secret(
        self, client_id: str, secret_sha256: str, *, expires_at: str | None = None
    ) -> RegisteredClient:
        """Replace the secret of a client of your own; the present one is accepted for another 24 hours.

        secret_sha256: hexadecimal digest of the new secret. expires_at: its end, RFC 3339.
        """
        url = self._at("credentials", text(client_id, "a client"), "rotate")
        body = {"secret_sha256": text(secret_sha256, "a digest"), "expires_at": expires_at}
        given = {name: value for name, value in body.items() if value is not None}
        return cast(RegisteredClient, self._connection.post(url, given, repeatable=True))

    def replace_client_keys(self, client_id: str, keys: Sequence[Mapping[str, Any]]) -> RegisteredClient:
        """Replace the public keys of a client of your own. A key that is left out ends at once.

        All tokens of the client end then too. keys: public JWKs, each with its `kid`. Returns the client.
        """
        url = self._at("credentials", text(client_id, "a client"), "keys")
        return cast(RegisteredClient, self._connection.put(url, {"keys": list(keys)}))

    def replace_amqp_password(self, password_hash: str) -> None:
        """Replace your organisation's password at the partners' broker; see `generate_amqp_password`.

        The gateway applies it within seconds: the present password ends, and open connections are closed.
        """
        body = {"password_hash": text(password_hash, "a hash")}
        self._connection.post(self._at("amqp-password"), body, repeatable=True)

    def amqp_password_waits(self) -> bool:
        """Return whether a new password waits for the gateway, so that the earlier one is still in force."""
        return bool(self._connection.get(self._at("amqp-password"))["waits"])

    def revoke_tokens(self, client_id: str) -> RegisteredClient:
        """End all tokens of a client: of any for an operator, of its own for others. Returns the client."""
        url = self._at("credentials", text(client_id, "a client"), "revoke-tokens")
        return cast(RegisteredClient, self._connection.post(url, {}, repeatable=True))

    def revoke_tokens_of(self, organization_id: str) -> list[RegisteredClient]:
        """End all tokens of an organisation's clients, as operator or coordinator; return the clients."""
        url = self._at("organizations", text(organization_id, "an organisation"), "revoke-tokens")
        return cast("list[RegisteredClient]", self._connection.post(url, {}, repeatable=True)["items"])

    def name_root_client(self, client_id: str) -> RegisteredClient | Approval:
        """Make a client the root client of its organisation, as an operator.

        It may then end the others, and none of them ends it. Returns the client, or the request if a second
        person must approve it.
        """
        url = self._at("credentials", text(client_id, "a client"), "root")
        return cast("RegisteredClient | Approval", self._connection.put(url, {}))

    def revoke_client(self, client_id: str) -> RegisteredClient:
        """Revoke a client at once: any for an operator, its own for a partner."""
        url = self._at("credentials", text(client_id, "a client"))
        return cast(RegisteredClient, self._connection.delete(url))

    def key_history(self, organization_id: str | None = None) -> list[KeptKey]:
        """Return sealing keys, the present one first: by default the caller's own."""
        params: Mapping[str, str | None] = {"organization": organization_id}
        page = self._connection.page(self._at("keys"), params)
        return cast("list[KeptKey]", page["items"])

    def _service_approval(self, organization_id: str, service_id: str) -> str:
        organization, service = text(organization_id, "an organisation"), text(service_id, "a service")
        return self._at("organizations", organization, "services", service, "approval")
