from __future__ import annotations

import dataclasses
import re
import typing

import pytest

from contracts.case import Case
from contracts.facts import CATALOGUE, Fact
from tests.golden_messages.examples import EXAMPLES

FACTS = sorted(CATALOGUE.items())


@pytest.mark.parametrize(("name", "fact"), FACTS)
def test_fact_type_is_routing_key_with_version(name: str, fact: type[Fact]) -> None:
    assert fact.type == name
    assert re.fullmatch(re.escape(f"kopuro.{fact.routing_key}.v") + "[1-9][0-9]*", name)
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", fact.routing_key)
    assert fact.classification in ("public", "routing-facts", "sealed")


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_fact_is_immutable(name: str) -> None:
    fact = EXAMPLES[name].data
    for field in dataclasses.fields(fact):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(fact, field.name, None)


def test_catalogue_is_read_only() -> None:
    catalogue = typing.cast(dict[str, type[Fact]], CATALOGUE)
    with pytest.raises(TypeError):
        catalogue["kopuro.offer.eaten.v1"] = Fact


def records_in(cls: typing.Any) -> set[type]:
    """Return the record classes in a record, including itself."""
    if dataclasses.is_dataclass(cls):
        hints = typing.get_type_hints(cls)
        held = [records_in(hints[field.name]) for field in dataclasses.fields(cls)]
        return {typing.cast(type, cls)}.union(*held)
    return set[type]().union(*(records_in(a) for a in typing.get_args(cls)))


@pytest.mark.parametrize(("name", "fact"), FACTS)
def test_no_fact_contains_the_case(name: str, fact: type[Fact]) -> None:
    assert Case not in records_in(fact)


@pytest.mark.parametrize(("name", "fact"), FACTS)
def test_only_sealed_messages_contain_ciphertext(name: str, fact: type[Fact]) -> None:
    sealed = {field.name for field in dataclasses.fields(fact)} & {"case", "note", "evidence"}  # type: ignore[arg-type]
    open_notes = {"kopuro.answer.submitted.v1", "kopuro.offer.declined.v1"}
    assert bool(sealed) == (fact.classification == "sealed" or name in open_notes)
