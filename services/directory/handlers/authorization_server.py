"""The hub's authorization server as OAuth clients find it: its metadata, its keys and its names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from contracts.errors import Refused, Unavailable
from services.directory.domain.authorization_server import TOKEN_PATH, server_metadata


class AuthorizationServer:
    """Describes the token endpoint. Its address comes from the discovery document, which may be replaced."""

    def __init__(
        self,
        *,
        issuer: str,
        is_url: bool,
        address: Callable[[], str | None],
        keys: Callable[[], Mapping[str, Any]],
    ) -> None:
        """issuer: the `iss` of tokens; is_url: whether it is an issuer in the sense of RFC 8414.

        address: returns the directory's public base URL, None while it is not known. keys: returns the
        public keys that verify tokens, as a JWK set.
        """
        self._issuer = issuer
        self._is_url = is_url
        self._address = address
        self.keys = keys

    def metadata(self) -> Mapping[str, Any]:
        """Return the metadata. Raises Refused `not-found` without an issuer, and Unavailable."""
        if not self._is_url:
            raise Refused("not-found", "The operator has set no issuer (KOPURO_ISSUER).")
        address = self._address()
        if address is None:
            raise Unavailable("The discovery document does not list the directory.")
        return server_metadata(self._issuer, address)

    def audiences(self) -> Collection[str]:
        """Return the values of `aud` in a client assertion that mean this server."""
        address = self._address()
        return {self._issuer} if address is None else {self._issuer, address + TOKEN_PATH}
