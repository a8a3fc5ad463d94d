"""Exchanges, queues and bindings at the broker that the hub's topology does not declare.

Somebody with intake's password may declare names of its private reply queues, and durable declarations
outlive the password. An exclusive queue does not: it ends with its connection, as intake's own ones do, and
the queues by which operators lock what they browse.

Source: RabbitMQ, "Management HTTP API": `/api/queues`, `/api/exchanges`, `/api/bindings` of a virtual host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import orjson

from contracts.broker_rights import BROWSING_SUFFIX
from contracts.topology import REPLIES, REQUESTERS, Binding, Topology, reply_queue_prefix

# Anybody who declares an exchange or queue chooses its name, up to 255 bytes.
_LONGEST_NAME: Final = 60
# Exchanges that every virtual host has: the default one, which binds each queue by its name, and these.
_GIVEN: Final = "amq."


@dataclass(frozen=True, kw_only=True, slots=True)
class Stray:
    """One stray. kind: `queue`, `exchange` or `binding`. path: below `/api`, of the resource to delete."""

    kind: str
    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def strays_among(
    topology: Topology,
    vhost: str,
    *,
    queues: Sequence[Mapping[str, Any]],
    exchanges: Iterable[Mapping[str, Any]],
    bindings: Iterable[Mapping[str, Any]],
) -> tuple[Stray, ...]:
    """Return what the topology does not declare, in the order in which it can be removed.

    queues, exchanges, bindings: as the management API lists them. A binding of a stray goes with it and is
    not named.
    """
    place = quote(vhost, safe="")
    known_queues = {one.name for one in topology.queues}
    known_exchanges = {one.name for one in topology.exchanges}
    passing = {str(one["name"]) for one in queues if one.get("exclusive") is True and _may_pass(one["name"])}
    listed = {str(one["name"]) for one in queues}
    stray_queues = listed - known_queues - passing
    stray_exchanges = {
        name
        for one in exchanges
        if (name := str(one["name"])) not in known_exchanges and name and not name.startswith(_GIVEN)
    }
    found = [
        *(_stray("queue", name, f"/queues/{place}/{quote(name, safe='')}") for name in sorted(stray_queues)),
        *(
            _stray("exchange", name, f"/exchanges/{place}/{quote(name, safe='')}")
            for name in sorted(stray_exchanges)
        ),
    ]
    wanted = {key_of(one) for one in topology.bindings}
    for one in bindings:
        source, destination = str(one["source"]), str(one["destination"])
        is_exchange = one["destination_type"] == "exchange"
        gone = source in stray_exchanges or destination in (stray_exchanges if is_exchange else stray_queues)
        if not source or gone or found_key(one) in wanted:
            continue
        # The queue may have ended between the lists.
        if not is_exchange and (
            destination not in listed or (destination in passing and source in _REPLY_EXCHANGES)
        ):
            continue
        kind = "e" if is_exchange else "q"
        path = "/".join(
            quote(str(part), safe="")
            for part in ("bindings", vhost, "e", source, kind, destination, one["properties_key"])
        )
        name = f"{_shown(source)} -> {_shown(destination)} ({_shown(str(one['routing_key']))})"
        found.append(Stray(kind="binding", name=name, path=f"/{path}"))
    return tuple(found)


_REPLY_EXCHANGES: Final = frozenset(f"{REPLIES}.{requester}" for requester in REQUESTERS)
_REPLY_QUEUES: Final = tuple(reply_queue_prefix(requester) for requester in REQUESTERS)


def key_of(one: Binding) -> tuple[object, ...]:
    """Return what makes a binding of the topology the same as a listed one."""
    kind = "exchange" if one.to_exchange else "queue"
    return one.source, one.destination, kind, one.key, _arguments(dict(one.arguments))


def found_key(found: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what makes a listed binding the same as one of the topology."""
    names = ("source", "destination", "destination_type", "routing_key")
    return (*(found.get(name) for name in names), _arguments(found.get("arguments")))


def _may_pass(name: object) -> bool:
    return str(name).startswith(_REPLY_QUEUES) or str(name).endswith(BROWSING_SUFFIX)


def _stray(kind: str, name: str, path: str) -> Stray:
    return Stray(kind=kind, name=_shown(name), path=path)


def _shown(name: str) -> str:
    """Return a name for a log or a page: printable and short."""
    text = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in name)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


def _arguments(arguments: object) -> str:
    # RabbitMQ writes an empty table as {} or as [].
    return orjson.dumps(arguments or {}, option=orjson.OPT_SORT_KEYS).decode()
