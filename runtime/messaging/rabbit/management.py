"""The bindings at the broker, from RabbitMQ's management API: AMQP itself cannot list them.

Source: RabbitMQ, "Management HTTP API", `GET /api/bindings/{vhost}`; the user needs the tag `management` and
any permission in the virtual host.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson

from contracts.topology import Binding, Topology
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.management_http import ManagementHttp
from runtime.tls import TlsFiles


class ManagementApi:
    """Reads one virtual host. uri: `http[s]://user:password@host:port`; it stays out of every message.

    tls: the files for https; None: the system's CAs.
    """

    def __init__(self, uri: str, vhost: str, tls: TlsFiles | None = None) -> None:
        self._http = ManagementHttp(uri, tls, api="The broker's management API")
        self._path = f"/bindings/{quote(vhost, safe='')}"

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

    def alarms(self) -> tuple[str, ...]:
        """Return the resources for which a node has an alarm and blocks publishers: `memory`, `disk space`.

        Source: RabbitMQ, "Memory and Disk Alarms"; `GET /api/health/checks/alarms`. Raises BrokerUnavailable.
        """
        status, found = self._http.send("GET", "/health/checks/alarms")
        if status == HTTPStatus.OK:
            return ()
        if status != HTTPStatus.SERVICE_UNAVAILABLE or not isinstance(found, dict):
            raise BrokerUnavailable(f"{self._http.api} answers with status {status}.")
        named = found.get("alarms")
        resources = {
            str(one.get("resource", ""))
            for one in (named if isinstance(named, list) else ())
            if isinstance(one, dict)
        }
        return tuple(sorted(resources)) or ("unnamed",)

    def _bindings(self) -> list[Mapping[str, Any]]:
        status, found = self._http.send("GET", self._path)
        if status != 200:
            raise BrokerUnavailable(f"{self._http.api} answers with status {status}.")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise BrokerUnavailable(f"{self._http.api} does not answer with a list of bindings.")
        return found


def _key(found: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("source", "destination", "destination_type", "routing_key")
    return (*(found.get(name) for name in names), _text(found.get("arguments")))


def _wanted(one: Binding) -> tuple[object, ...]:
    kind = "exchange" if one.to_exchange else "queue"
    return (one.source, one.destination, kind, one.key, _text(dict(one.arguments)))


def _text(arguments: object) -> bytes:
    # RabbitMQ writes an empty table as {} or as [].
    return orjson.dumps(arguments or {}, option=orjson.OPT_SORT_KEYS)
