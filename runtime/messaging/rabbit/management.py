"""What the broker has, from RabbitMQ's management API: AMQP itself can list neither bindings nor queues.

Source: RabbitMQ, "Management HTTP API", `GET /api/bindings/{vhost}`; the user needs the tag `management` and
any permission in the virtual host. Removal needs the tag `administrator`, or the right to configure.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from contracts.topology import Topology
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.management_http import ManagementHttp
from runtime.messaging.rabbit.strays import Stray, found_key, key_of, strays_among
from runtime.tls import TlsFiles


class ManagementApi:
    """Reads one virtual host. uri: `http[s]://user:password@host:port`; it stays out of every message.

    tls: the files for https; None: the system's CAs.
    """

    def __init__(self, uri: str, vhost: str, tls: TlsFiles | None = None) -> None:
        self._http = ManagementHttp(uri, tls, api="The broker's management API")
        self._vhost = vhost

    def missing(self, topology: Topology) -> tuple[str, ...]:
        """Return the bindings that the broker lacks, such as `kopuro.events.vault -> audit.log (#)`.

        Raises BrokerUnavailable.
        """
        present = {found_key(found) for found in self._listed("bindings")}
        return tuple(
            f"binding {one.source} -> {one.destination} ({one.key})"
            for one in topology.bindings
            if key_of(one) not in present
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

    def strays(self, topology: Topology) -> tuple[Stray, ...]:
        """Return what the broker has and the topology does not declare. Raises BrokerUnavailable."""
        # First: the binding of a private queue that intake declares meanwhile must not be without its queue.
        bindings = self._listed("bindings")
        return strays_among(
            topology,
            self._vhost,
            queues=self._listed("queues", "name", "exclusive"),
            exchanges=self._listed("exchanges", "name"),
            bindings=bindings,
        )

    def remove(self, stray: Stray) -> None:
        """Delete a stray; it is not an error if it has gone already. Raises BrokerUnavailable."""
        status, _ = self._http.send("DELETE", stray.path)
        if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
            raise BrokerUnavailable(f"{self._http.api} answers with status {status}.")

    def _listed(self, what: str, *columns: str) -> list[Mapping[str, Any]]:
        query = f"?columns={','.join(columns)}" if columns else ""
        status, found = self._http.send("GET", f"/{what}/{quote(self._vhost, safe='')}{query}")
        if status != HTTPStatus.OK:
            raise BrokerUnavailable(f"{self._http.api} answers with status {status}.")
        if not isinstance(found, list) or not all(
            isinstance(one, dict) and one.keys() >= set(columns) for one in found
        ):
            raise BrokerUnavailable(f"{self._http.api} does not answer with a list of {what}.")
        return found
