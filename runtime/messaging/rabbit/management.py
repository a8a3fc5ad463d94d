"""The bindings at the broker, from RabbitMQ's management API: AMQP itself cannot list them.

Source: RabbitMQ, "Management HTTP API", `GET /api/bindings/{vhost}`; the user needs the tag `management` and
any permission in the virtual host.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import orjson

from contracts import base64_text
from contracts.topology import Binding, Topology
from runtime.messaging.ports import BrokerUnavailable
from runtime.tls import TlsFiles, handshake_fault

# A management API that does not answer by then counts as unavailable.
ANSWER_SECONDS: Final = 5.0
# A hub has a few hundred bindings of some 300 bytes each.
_MOST_BYTES: Final = 16 * 1024 * 1024


class ManagementApi:
    """Reads one virtual host. uri: `http[s]://user:password@host:port`; it stays out of every message.

    tls: the files for https; None: the system's CAs.
    """

    def __init__(self, uri: str, vhost: str, tls: TlsFiles | None = None) -> None:
        parts = urlsplit(uri)
        assert parts.hostname is not None
        self._secure = parts.scheme == "https"
        self._tls = tls or TlsFiles()
        self._host, self._port = parts.hostname, parts.port or (15671 if self._secure else 15672)
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._authorization = "Basic " + base64_text.encoded(pair.encode())
        self._path = f"{parts.path.rstrip('/')}/api/bindings/{quote(vhost, safe='')}"

    def missing(self, topology: Topology) -> tuple[str, ...]:
        """Return the bindings that the broker lacks, such as `kopuro.events.vault -> audit.log (#)`.

        Raises BrokerUnavailable.
        """
        present = {_key(found) for found in self._bindings()}
        return tuple(
            f"binding {one.source} -> {one.destination} ({one.key})"
            for one in topology.bindings
            if _wanted(one) not in present
        )

    def _bindings(self) -> list[Mapping[str, Any]]:
        connection = self._connection()
        try:
            connection.request("GET", self._path, headers={"Authorization": self._authorization})
            response = connection.getresponse()
            body = response.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            fault = handshake_fault(error, over_tls=self._secure)
            reason = f" ({type(error).__name__})" if fault is None else f": {fault}"
            raise BrokerUnavailable(f"The broker's management API does not answer{reason}.") from error
        finally:
            connection.close()
        if response.status != 200:
            raise BrokerUnavailable(f"The broker's management API answers with status {response.status}.")
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BrokerUnavailable("The broker's management API does not answer with JSON.") from error
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise BrokerUnavailable("The broker's management API does not answer with a list of bindings.")
        return found

    def _connection(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS)
        try:
            context = self._tls.context()
        except OSError as error:
            raise BrokerUnavailable("The files for TLS to the broker cannot be used.") from error
        return http.client.HTTPSConnection(self._host, self._port, timeout=ANSWER_SECONDS, context=context)


def _key(found: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("source", "destination", "destination_type", "routing_key")
    return (*(found.get(name) for name in names), _text(found.get("arguments")))


def _wanted(one: Binding) -> tuple[object, ...]:
    kind = "exchange" if one.to_exchange else "queue"
    return (one.source, one.destination, kind, one.key, _text(dict(one.arguments)))


def _text(arguments: object) -> bytes:
    # RabbitMQ writes an empty table as {} or as [].
    return orjson.dumps(arguments or {}, option=orjson.OPT_SORT_KEYS)
