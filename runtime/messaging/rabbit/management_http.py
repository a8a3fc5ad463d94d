"""Requests to RabbitMQ's management API, as one user.

Source: RabbitMQ, "Management HTTP API".
"""

from __future__ import annotations

import http.client
import ssl
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import orjson

from contracts import base64_text
from runtime.bounded_response import BoundedResponse
from runtime.messaging.ports import BrokerUnavailable
from runtime.timed_connection import timed_exchange
from runtime.tls import TlsFiles, handshake_fault

# A management API whose answer is not complete by then counts as unavailable. A socket's own timeout would
# restart with each byte, and the loop that asked would wait for ever.
ANSWER_SECONDS: Final = 5.0
# A hub has a few hundred bindings, queues and users of some 300 bytes to some kB each.
_MOST_BYTES: Final = 16 * 1024 * 1024


class _Answer(BoundedResponse):
    most = _MOST_BYTES + BoundedResponse.most


class ManagementHttp:
    """One connection a request. uri: `http[s]://user:password@host:port`; it stays out of every message."""

    def __init__(self, uri: str, tls: TlsFiles | None, *, api: str) -> None:
        """tls: the files for https; None: the system's CAs. api: what error texts call it."""
        parts = urlsplit(uri)
        assert parts.hostname is not None
        self.api = api
        self._secure = parts.scheme == "https"
        self._tls = tls or TlsFiles()
        self._host, self._port = parts.hostname, parts.port or (15671 if self._secure else 15672)
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._headers = {
            "Authorization": "Basic " + base64_text.encoded(pair.encode()),
            "Content-Type": "application/json",
        }
        self._root = f"{parts.path.rstrip('/')}/api"

    def send(self, method: str, path: str, body: Any = None, *, reason: str = "") -> tuple[int, Any]:
        """Return the status and the JSON of the answer, None for an answer that is empty or no success.

        A failed health check (503) has JSON too, which says what failed.

        path: below `/api`. body: JSON values; None: no body. reason: what the broker tells those whose
        connections are closed. Raises BrokerUnavailable.
        """
        content = None if body is None else orjson.dumps(body)
        headers = self._headers | ({"X-Reason": reason} if reason else {})
        context = self._context() if self._secure else None
        try:
            status, text = timed_exchange(
                (self._host, self._port),
                ANSWER_SECONDS,
                method,
                self._root + path,
                body=content,
                headers=headers,
                context=context,
                response_class=_Answer,
                most=_MOST_BYTES,
            )
        except (OSError, http.client.HTTPException) as error:
            fault = handshake_fault(error, over_tls=self._secure)
            reason = f" ({type(error).__name__})" if fault is None else f": {fault}"
            raise BrokerUnavailable(f"{self.api} does not answer{reason}.") from error
        is_failed_check = status == HTTPStatus.SERVICE_UNAVAILABLE
        if not text or not (is_failed_check or 200 <= status < 300):
            return status, None
        try:
            return status, orjson.loads(text)
        except orjson.JSONDecodeError as error:
            if is_failed_check:
                return status, None  # the response of a proxy
            raise BrokerUnavailable(f"{self.api} does not answer with JSON.") from error

    def _context(self) -> ssl.SSLContext:
        try:
            return self._tls.context()
        except OSError as error:
            raise BrokerUnavailable(f"The files for TLS to {self.api} cannot be used.") from error
