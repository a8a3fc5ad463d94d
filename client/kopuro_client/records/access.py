"""Approvals and OAuth clients in a hub's responses."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Approval(TypedDict):
    """A request that a second person confirms. change: exactly what takes effect.

    kind: credential, role, sealing_key, vetting, service, agreement or root_client; state: requested,
    granted, refused, expired or stale; digest: the SHA-256 of the request, which every fact about it repeats.
    """

    id: str
    kind: str
    subject: str
    organization: str | None
    state: str
    requested_by: str
    requested_at: str
    expires_at: str
    endorsed_by: str | None  # the first of two members of the staff, for a partner's own request
    endorsed_at: str | None
    decided_by: str | None
    decided_at: str | None
    basis: str
    digest: str
    change: dict[str, Any]


class RegisteredClient(TypedDict):
    """An OAuth client. live: it may get tokens; client_secret: only when the hub has just made it.

    keys: its public keys, JWKs with `alg` and `expires_at`. previous_secret_until: until when the secret
    before the present one is accepted too. root: the first client of its organisation, named by operators.
    """

    client_id: str
    principal: str
    roles: list[str]
    live: bool
    keys: list[dict[str, Any]]
    has_secret: bool
    secret_expires_at: str | None
    previous_secret_until: str | None
    root: bool
    revision: int
    client_secret: NotRequired[str]
