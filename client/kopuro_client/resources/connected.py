"""A client's connection to one hub, and the requests that several resources share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from kopuro_client.arguments import idempotency_key
from kopuro_client.connection import Connection
from kopuro_client.custody_key import CustodyKey
from kopuro_client.discovery import Discovery
from kopuro_client.records import Accepted, Jwk
from kopuro_client.submissions import new_idempotency_key


class Connected:
    """Holds the discovery document, the connection and the private sealing keys of one client."""

    def __init__(
        self,
        discovery: Discovery,
        connection: Connection,
        *,
        sealing_key: Jwk | None = None,
        previous_keys: Sequence[Jwk] = (),
        custody_key: CustodyKey | None = None,
    ) -> None:
        """custody_key: by default the one of the discovery document, read only once."""
        self.discovery = discovery
        self._custody_key = custody_key or CustodyKey(discovery.custody_key, look_up=None)
        self._connection = connection
        self._private_keys = (*(() if sealing_key is None else (sealing_key,)), *previous_keys)

    def _at(self, service: str, *path: str) -> str:
        return self.discovery.address(service, "v1", *path)

    def _submit(
        self, *path: str, body: Mapping[str, Any], key: str | None = None, service: str = "intake"
    ) -> Accepted:
        url = self._at(service, *path)
        key = new_idempotency_key() if key is None else idempotency_key(key)
        return cast(Accepted, self._connection.post(url, body, idempotency_key=key))

    def _say(
        self, referral_id: str, *action: str, body: Mapping[str, Any], key: str | None = None
    ) -> Accepted:
        return self._submit("referrals", referral_id, *action, body=body, key=key)
