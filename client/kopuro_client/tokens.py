"""Access tokens by OAuth 2.0 client credentials, kept while they last. Source: RFC 6749 §4.4."""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote_plus

from kopuro_client.answers import json_object
from kopuro_client.errors import AuthenticationError, DefectError, RefusedError
from kopuro_client.transport import HttpRequest, Transport

RENEWAL_MARGIN: Final = 60.0  # seconds before expiry; a tenth of a short life


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientCredentials:
    """What the directory gave the organisation. The secret is shown once there, and never here."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float  # on the transport's clock


class TokenSource:
    """The current access token of one client. Of threads that share it, one asks for a new one."""

    def __init__(self, transport: Transport, *, token_url: str, credentials: ClientCredentials) -> None:
        self._transport = transport
        self._token_url = token_url
        self._credentials = credentials
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def current(self) -> str:
        """A token that lives a while yet.

        Raises AuthenticationError, or what `Transport.send` raises.
        """
        with self._lock:
            if self._token is None or self._transport.clock() >= self._token.renew_at:
                self._token = self._obtain()
            return self._token.value

    def discard(self, token: str) -> None:
        """Forget a token that was refused, unless another thread has renewed it already."""
        with self._lock:
            if self._token is not None and self._token.value == token:
                self._token = None

    def _obtain(self) -> _Token:
        asked_at = self._transport.clock()
        request = HttpRequest(
            method="POST",
            url=self._token_url,
            headers={
                "Authorization": self._basic(),
                "Content-Type": "application/x-www-form-urlencoded",
            },
            content=b"grant_type=client_credentials",
            repeatable=True,
        )
        try:
            answer = json_object(self._transport.send(request))
        except RefusedError as error:  # RFC 6749 §5.2 answers a bad client with 400 as well as with 401
            raise AuthenticationError(str(error)) from error
        value, lifetime = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(value, str) or not isinstance(lifetime, int | float):
            raise DefectError("the token answer lacks access_token or expires_in")
        margin = min(RENEWAL_MARGIN, lifetime / 10)
        return _Token(value=value, renew_at=asked_at + lifetime - margin)

    def _basic(self) -> str:
        # Form-encoded before base64: RFC 6749 §2.3.1, not plain RFC 7617.
        given = (self._credentials.client_id, self._credentials.client_secret)
        pair = ":".join(map(quote_plus, given))
        return "Basic " + base64.b64encode(pair.encode()).decode()
