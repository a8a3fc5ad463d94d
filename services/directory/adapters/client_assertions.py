"""Client assertions as JWT. Source: RFC 7523 §3, RFC 7519 §5.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from contracts.errors import Refused
from services.directory.adapters.client_signatures import BadSignature, claimed_client, signed_content
from services.directory.domain.client_key import ClientKey

# An access token or a request proof by the same key is not an assertion.
TYPES: Final = frozenset({None, "JWT", "jwt", "client-authentication+jwt"})


class JwtAssertionReader:
    """See `ports.AssertionReader`."""

    def client_id(self, assertion: str) -> str | None:
        """See `ports.AssertionReader`."""
        try:
            return claimed_client(assertion)
        except BadSignature:
            return None

    def claims(self, assertion: str, keys: Sequence[ClientKey]) -> Mapping[str, Any] | None:
        """See `ports.AssertionReader`."""
        try:
            claims = signed_content(assertion, keys, TYPES)
        except (BadSignature, Refused):
            return None
        return claims if isinstance(claims, dict) else None
