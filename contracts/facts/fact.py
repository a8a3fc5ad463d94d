"""The base class of facts and the catalogue of all facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, TypeVar

from marshmallow.validate import Length

from contracts.quick_init import quick_init
from contracts.topology import EVENTS

TYPE_PREFIX = "kopuro."
F = TypeVar("F", bound="type[Fact]")

# A free text about a decline. Only earlier builds wrote it: a note is now sealed to the sender.
OpenNote = Annotated[str, Length(max=500)]


class Fact:
    """The data of an event. routing_key: its AMQP routing key; type: its CloudEvents type."""

    __slots__ = ()
    routing_key: ClassVar[str]
    type: ClassVar[str]
    exchange: ClassVar[str]
    classification: ClassVar[str]


_catalogue: dict[str, type[Fact]] = {}
CATALOGUE: Mapping[str, type[Fact]] = MappingProxyType(_catalogue)


def fact(
    routing_key: str,
    *,
    version: int = 1,
    exchange: str = EVENTS,
    classification: str = "routing-facts",
) -> Callable[[F], F]:
    """Register the class in the catalogue as `kopuro.<routing key>.v<version>`, with a `quick_init`.

    classification: `public` (about organisations), `routing-facts` (no person), `sealed` (ciphertext).
    """

    def enter(cls: F) -> F:
        cls.routing_key = routing_key
        cls.type = f"{TYPE_PREFIX}{routing_key}.v{version}"
        cls.exchange = exchange
        cls.classification = classification
        _catalogue[cls.type] = cls
        quick_init(cls)
        return cls

    return enter


def routing_key_of(type_: str) -> str:
    """Return the routing key in a CloudEvents type, also of a version that this build does not know."""
    return type_.removeprefix(TYPE_PREFIX).rpartition(".v")[0]
