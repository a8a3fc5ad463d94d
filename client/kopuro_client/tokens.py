"""Access tokens from OAuth 2.0 client credentials, cached until they expire.

Source: RFC 6749 §4.4, RFC 7523 §2.2.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from kopuro_client.arguments import encodable
from kopuro_client.client_key import ClientKey
from kopuro_client.errors import AuthenticationError, DefectError, RefusedError
from kopuro_client.responses import json_object
from kopuro_client.transport import HttpRequest, Transport

RENEWAL_MARGIN: Final = 60.0  # seconds before expiry; for short lifetimes, a tenth of the lifetime

_GRANT: Final = b"grant_type=client_credentials"
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 60
_LARGEST: Final = 1024 * 1024  # bytes of the token response
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientCredentials:
    """An organisation's credentials from the directory. The secret is never shown in a repr.

    client_key: the client's own key, used instead of the secret.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)
    client_key: ClientKey | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises InvalidArgumentError for a member that cannot be sent."""
        encodable(self.client_id, "the client id")
        encodable(self.client_secret, "the client secret")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float  # on the transport's clock


class TokenSource:
    """The current access token of one client. Threads may share it; only one requests a new token."""

    def __init__(self, transport: Transport, *, token_url: str, credentials: ClientCredentials) -> None:
        self._transport = transport
        self._token_url = token_url
        self._credentials = credentials
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def current(self) -> str:
        """Return a token that is not about to expire. Requests a new one if needed.

        Raises AuthenticationError, or what `Transport.send` raises.
        """
        with self._lock:
            if self._token is None or self._transport.clock() >= self._token.renew_at:
                self._token = self._obtain()
            return self._token.value

    def discard(self, token: str) -> None:
        """Drop a token that the hub rejected, unless another thread has already renewed it."""
        with self._lock:
            if self._token is not None and self._token.value == token:
                self._token = None

    def _obtain(self) -> _Token:
        requested_at = self._transport.clock()
        try:
            response = self._request()
        except RefusedError as error:  # by RFC 6749 §5.2 an invalid client gets 400 or 401
            raise AuthenticationError(str(error)) from error
        value, lifetime = response.get("access_token"), response.get("expires_in")
        if not isinstance(value, str) or not isinstance(lifetime, int | float):
            raise DefectError("the token response lacks access_token or expires_in")
        if not _TOKEN.fullmatch(value):
            raise DefectError("the token response has an access_token that no header can carry")
        margin = min(RENEWAL_MARGIN, lifetime / 10)
        return _Token(value=value, renew_at=requested_at + lifetime - margin)

    def _request(self) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = HttpRequest(
            method="POST",
            url=self._token_url,
            headers=headers,
            content=_GRANT,
            repeatable=True,
            largest_answer=_LARGEST,
        )
        key = self._credentials.client_key
        if key is None:
            request = request.having(Authorization=self._basic())
        else:
            request = replace(request, compose=lambda: self._signed_form(key))
        return json_object(self._transport.send(request))

    def _signed_form(self, key: ClientKey) -> bytes:
        body = {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": self._assertion(key)}
        return _GRANT + b"&" + urlencode(body).encode()

    def _assertion(self, key: ClientKey) -> str:
        now = int(time.time())
        content = {
            "iss": self._credentials.client_id,
            "sub": self._credentials.client_id,
            "aud": self._token_url,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        return key.signed(content, typ="JWT")

    def _basic(self) -> str:
        # RFC 6749 §2.3.1 requires form encoding before base64, unlike RFC 7617.
        given = (self._credentials.client_id, self._credentials.client_secret)
        pair = ":".join(map(quote_plus, given))
        return "Basic " + base64.b64encode(pair.encode()).decode()
