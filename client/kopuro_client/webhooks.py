"""An organisation's webhook endpoints (`Kopuro.webhooks`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from kopuro_client.arguments import text, texts
from kopuro_client.connection import Connection
from kopuro_client.records import Page, WebhookAttempt, WebhookEndpoint, WebhookNotice, WebhookSecret


class Webhooks:
    """Delivery's resources for webhooks."""

    def __init__(self, connection: Connection, at: Callable[..., str]) -> None:
        """at: returns the URL of a path below `/v1/webhooks`."""
        self._connection = connection
        self._at = at

    def register(self, url: str, *, types: Iterable[str] = ()) -> WebhookSecret:
        """Register an endpoint and return it with its secret, which is shown only now.

        types: of the messages it gets notices of, such as `offer.opened`; empty: all. The hub
        challenges the endpoint within seconds. Sent once: after a TransportError look whether it is there.
        """
        body = {"url": text(url, "a URL"), "types": list(texts(types, "types"))}
        return cast(WebhookSecret, self._connection.post(self._at(), body))

    def endpoints(self) -> list[WebhookEndpoint]:
        """Return all endpoints, oldest first."""
        return cast("Page[WebhookEndpoint]", self._connection.page(self._at()))["items"]

    def endpoint(self, endpoint_id: str) -> WebhookEndpoint:
        return cast(WebhookEndpoint, self._connection.get(self._of(endpoint_id)))

    def change(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        types: Iterable[str] | None = None,
        enabled: bool | None = None,
    ) -> WebhookEndpoint:
        """Change an endpoint; None leaves a member as it is. A new URL is challenged first."""
        changes = {
            "url": None if url is None else text(url, "a URL"),
            "types": None if types is None else list(texts(types, "types")),
            "enabled": enabled,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        return cast(WebhookEndpoint, self._connection.patch(self._of(endpoint_id), given))

    def delete(self, endpoint_id: str) -> None:
        """Delete an endpoint. Your mailbox keeps every message."""
        self._connection.remove(self._of(endpoint_id))

    def rotate_secret(self, endpoint_id: str) -> WebhookSecret:
        """Return a new secret, shown only now; the previous one signs beside it until `previous_until`."""
        return cast(WebhookSecret, self._connection.post(self._of(endpoint_id, "secrets"), {}))

    def test(self, endpoint_id: str) -> WebhookNotice:
        """Send a test, or a new challenge to an endpoint that has not answered one."""
        return cast(WebhookNotice, self._connection.post(self._of(endpoint_id, "test"), {}))

    def notices_page(
        self, endpoint_id: str, *, after: str | None = None, limit: int | None = None
    ) -> Page[WebhookNotice]:
        """Return the notices to the endpoint, newest first, with the state of each notice."""
        url = self._of(endpoint_id, "notices")
        return cast("Page[WebhookNotice]", self._connection.page(url, {"after": after, "limit": limit}))

    def attempts_page(
        self, endpoint_id: str, *, after: str | None = None, limit: int | None = None
    ) -> Page[WebhookAttempt]:
        """Return requests with their responses, newest first."""
        url = self._of(endpoint_id, "attempts")
        return cast("Page[WebhookAttempt]", self._connection.page(url, {"after": after, "limit": limit}))

    def resend(self, endpoint_id: str, message_id: str) -> WebhookNotice:
        """Send the notice of a message again now."""
        url = self._of(endpoint_id, "notices", text(message_id, "a message"), "resend")
        return cast(WebhookNotice, self._connection.post(url, {}, repeatable=True))

    def cancel(self, endpoint_id: str, message_id: str) -> WebhookNotice:
        """Stop the retries of a notice. The message stays in your mailbox."""
        url = self._of(endpoint_id, "notices", text(message_id, "a message"), "cancel")
        return cast(WebhookNotice, self._connection.post(url, {}, repeatable=True))

    def _of(self, endpoint_id: str, *path: str) -> str:
        return self._at(text(endpoint_id, "an endpoint"), *path)
