from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.quick_init import quick_init

_SHARED: dict[str, int] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plain:
    needed: int
    stated: str | None = None
    shared: Mapping[str, int] = field(default_factory=lambda: _SHARED)
    fresh: list[int] = field(default_factory=list)
    constant: int = field(default=7, init=False)
    derived: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "derived", self.needed + 1)


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Quick:
    needed: int
    stated: str | None = None
    shared: Mapping[str, int] = field(default_factory=lambda: _SHARED)
    fresh: list[int] = field(default_factory=list)
    constant: int = field(default=7, init=False)
    derived: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "derived", self.needed + 1)


@pytest.mark.parametrize(
    "given",
    [{"needed": 1}, {"needed": 2, "stated": "x"}, {"needed": 3, "shared": {"a": 1}, "fresh": [4]}],
)
def test_record_is_the_same(given: dict[str, Any]) -> None:
    assert dataclasses.asdict(Quick(**given)) == dataclasses.asdict(Plain(**given))


def test_parameters_are_the_same() -> None:
    plain, quick = (inspect.signature(cls).parameters for cls in (Plain, Quick))
    assert [(one.name, one.kind, one.annotation) for one in quick.values()] == [
        (one.name, one.kind, one.annotation) for one in plain.values()
    ]


def test_each_record_has_its_own_default_of_a_factory() -> None:
    assert Quick(needed=1).fresh is not Quick(needed=1).fresh
    assert Quick(needed=1).shared is Quick(needed=1).shared


@pytest.mark.parametrize("given", [{}, {"needed": 1, "other": 2}, {"needed": 1, "constant": 2}])
def test_wrong_arguments_are_refused(given: dict[str, Any]) -> None:
    for cls in (Plain, Quick):
        with pytest.raises(TypeError):
            cls(**given)


def test_record_stays_frozen_and_can_be_replaced() -> None:
    quick = Quick(needed=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        quick.needed = 2  # type: ignore[misc]
    assert dataclasses.replace(quick, needed=5) == Quick(needed=5)
    assert hash(Quick(needed=1, shared=Hashed(), fresh=Hashed())) == hash(  # type: ignore[arg-type]
        Quick(needed=1, shared=Hashed(), fresh=Hashed())  # type: ignore[arg-type]
    )


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Empty:
    pass


def test_record_without_members_takes_none() -> None:
    assert Empty() == Empty()
    with pytest.raises(TypeError):
        Empty(other=1)  # type: ignore[call-arg]


class Hashed:
    """Any two are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hashed)

    def __hash__(self) -> int:
        return 1


@dataclass(kw_only=True, slots=True)
class Mutable:
    one: int


@dataclass(frozen=True, slots=True)
class Positional:
    one: int


@dataclass(frozen=True, kw_only=True)
class WithoutSlots:
    one: int


@dataclass(frozen=True, kw_only=True)
class EmptyWithoutSlots:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class WithInitVar:
    one: int
    given: dataclasses.InitVar[int]


class NoDataclass:
    __slots__ = ()


@pytest.mark.parametrize(
    "cls", [Mutable, Positional, WithoutSlots, EmptyWithoutSlots, WithInitVar, NoDataclass]
)
def test_class_whose_init_would_differ_is_refused(cls: type) -> None:
    init = cls.__init__  # type: ignore[misc]
    with pytest.raises(TypeError, match=cls.__name__):
        quick_init(cls)
    assert cls.__init__ is init  # type: ignore[misc]
