"""Authenticated requests to a hub, with bearer tokens and JSON responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from kopuro_client.errors import AuthenticationError
from kopuro_client.request_proof import HEADER, RequestSigner
from kopuro_client.responses import json_object, json_page
from kopuro_client.tokens import TokenSource
from kopuro_client.transport import HttpRequest, Transport, json_body

Params = Mapping[str, str | int | None]
_LARGEST_TEXT: Final = 1024 * 1024  # bytes of a public text: a checkpoint has a few signatures


class Connection:
    """Sends authenticated requests.

    Raises what `Transport.send` raises; AuthenticationError only if the hub also rejects a new token.
    """

    def __init__(
        self, transport: Transport, tokens: TokenSource, *, signer: RequestSigner | None = None
    ) -> None:
        """signer: signs the changes of the directory; None: they are sent without proof."""
        self._transport = transport
        self._tokens = tokens
        self._signer = signer

    @property
    def clock(self) -> Callable[[], float]:
        """The transport's monotonic clock, in seconds."""
        return self._transport.clock

    def lost(self) -> float:
        """Return how many seconds of this thread failed attempts and the waits after them have taken."""
        return self._transport.lost()

    @property
    def sleep(self) -> Callable[[float], None]:
        """The transport's way to wait, in seconds."""
        return self._transport.sleep

    def close(self) -> None:
        self._transport.close()

    def get(self, url: str, params: Params | None = None, *, repeatable: bool = True) -> dict[str, Any]:
        """Return the JSON object at a URL. repeatable: False asks once, however soon a retry might help."""
        request = replace(self._reading(url, params), repeatable=repeatable)
        return json_object(self._send(request))

    def page(self, url: str, params: Params | None = None, *, wait: float = 0.0) -> dict[str, Any]:
        """Return a page of a list. wait: seconds that the hub was asked to hold an empty response."""
        return json_page(self._send(self._reading(url, params, wait=wait)))

    def content(self, url: str, params: Params | None = None) -> bytes:
        """Return a document byte for byte."""
        return self._send(self._reading(url, params))

    def csv(self, url: str, params: Params | None = None) -> str:
        """Return a table as CSV (RFC 4180)."""
        return self.content(url, {**(params or {}), "format": "csv"}).decode(errors="replace")

    def text(self, url: str) -> str:
        """Return a public text. Sends no token."""
        request = HttpRequest(
            method="GET",
            url=url,
            headers={"Accept": "text/plain"},
            repeatable=True,
            largest_answer=_LARGEST_TEXT,
        )
        return self._transport.send(request).decode("utf-8", errors="replace")

    def public(
        self,
        method: str,
        url: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send an idempotent request without a token; return the JSON object in the response."""
        request = HttpRequest(
            method=method,
            url=url,
            headers={**({} if body is None else {"Content-Type": "application/json"}), **(headers or {})},
            content=None if body is None else json_body(body),
            repeatable=True,
        )
        return json_object(self._transport.send(request))

    def post(
        self,
        url: str,
        body: object,
        *,
        idempotency_key: str | None = None,
        repeatable: bool = False,
        revision: int | None = None,
        params: Params | None = None,
    ) -> dict[str, Any]:
        """Post a JSON body and return the JSON object in the response.

        repeatable: whether the request is idempotent; with an Idempotency-Key it always is. revision: that
        the changed record must have.
        """
        request = HttpRequest(
            method="POST",
            url=url,
            params=params or {},
            headers={"Content-Type": "application/json"},
            content=json_body(body),
            repeatable=repeatable or idempotency_key is not None,
        )
        if idempotency_key is not None:
            request = request.having(Idempotency_Key=idempotency_key)
        if revision is not None:
            request = request.having(If_Match=f'"{revision}"')
        return json_object(self._send(request))

    def put(self, url: str, body: object) -> dict[str, Any]:
        """Put a JSON body and return the JSON object in the response."""
        request = HttpRequest(
            method="PUT",
            url=url,
            headers={"Content-Type": "application/json"},
            content=json_body(body),
            repeatable=True,
        )
        return json_object(self._send(request))

    def delete(self, url: str) -> dict[str, Any]:
        """Delete what is at a URL and return the JSON object in the response."""
        return json_object(self._send(HttpRequest(method="DELETE", url=url, repeatable=True)))

    def remove(self, url: str) -> None:
        """Delete what is at a URL; the hub responds 204."""
        self._send(HttpRequest(method="DELETE", url=url, repeatable=True))

    def patch(self, url: str, changes: object, *, revision: int | None = None) -> dict[str, Any]:
        """Send a merge patch (RFC 7396) of the record at that revision and return the changed record.

        revision: None for a record that has none.

        Retried like a read: the hub applies the change once and refuses it for a later revision.
        """
        request = HttpRequest(
            method="PATCH",
            url=url,
            headers={"Content-Type": "application/merge-patch+json"},
            content=json_body(changes),
            repeatable=True,
        )
        if revision is not None:
            request = request.having(If_Match=f'"{revision}"')
        return json_object(self._send(request))

    def post_lines(self, url: str, lines: list[bytes], *, idempotency_key: str | None = None) -> bytes:
        """Post NDJSON lines and return the NDJSON in the response.

        To be safe to retry, each line or the whole batch must have an idempotency key.
        """
        request = HttpRequest(
            method="POST",
            url=url,
            headers={"Content-Type": "application/x-ndjson", "Accept": "application/x-ndjson"},
            content=b"".join(line + b"\n" for line in lines),
            repeatable=True,
        )
        if idempotency_key is not None:
            request = request.having(Idempotency_Key=idempotency_key)
        return self._send(request)

    def command(self, url: str, params: Params | None = None, *, method: str = "POST") -> None:
        """Send an idempotent request without a body, to which the hub responds 204."""
        self._send(HttpRequest(method=method, url=url, params=params or {}, repeatable=True))

    def _reading(self, url: str, params: Params | None, *, wait: float = 0.0) -> HttpRequest:
        return HttpRequest(method="GET", url=url, params=params or {}, repeatable=True, wait=wait)

    def _send(self, request: HttpRequest) -> bytes:
        token = self._tokens.current()
        try:
            return self._transport.send(self._authorized(request, token))
        except AuthenticationError:
            # The hub rejected the token before it processed the request, so repeating is always safe.
            self._tokens.discard(token)
        return self._transport.send(self._authorized(request, self._tokens.current()))

    def _authorized(self, request: HttpRequest, token: str) -> HttpRequest:
        authorized = request.having(Authorization=f"Bearer {token}")
        signer = self._signer
        if signer is None or not signer.signs(request.method, request.url):
            return authorized
        return replace(
            authorized,
            prove=lambda: {
                HEADER: signer.proof(
                    request.method,
                    request.url,
                    token=token,
                    body=request.content or b"",
                    if_match=request.headers.get("If-Match"),
                )
            },
        )
