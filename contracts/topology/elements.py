"""Exchanges, queues and bindings as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """source: an exchange; destination: a queue, or an exchange when `to_exchange`."""

    source: str
    destination: str
    key: str
    to_exchange: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


def merged(*parts: Topology) -> Topology:
    """Return one topology with all parts."""
    return Topology(
        exchanges=tuple(one for part in parts for one in part.exchanges),
        queues=tuple(one for part in parts for one in part.queues),
        bindings=tuple(one for part in parts for one in part.bindings),
    )
