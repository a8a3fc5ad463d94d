"""The bytes of every published fact, kept as they were written. They may be added to, never changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.envelope import decode
from contracts.facts import CATALOGUE
from tests.golden_messages.examples import EARLIER, EXAMPLES
from tests.golden_messages.freeze import freeze

FOLDER = Path(__file__).parent
TYPES = sorted(CATALOGUE)


def golden(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


def test_every_fact_of_the_catalogue_has_its_golden_file_and_every_file_its_fact() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == TYPES


@pytest.mark.parametrize("name", TYPES)
def test_the_bytes_decode_to_the_message(name: str) -> None:
    assert decode(golden(name)) == EXAMPLES[name]


@pytest.mark.parametrize("path", sorted((FOLDER / "earlier").glob("*.json")), ids=lambda path: path.stem)
def test_bytes_of_earlier_builds_decode_to_the_message(path: Path) -> None:
    assert decode(path.read_bytes()) == EARLIER[path.stem]


def test_every_earlier_example_has_its_bytes() -> None:
    assert sorted(path.stem for path in (FOLDER / "earlier").glob("*.json")) == sorted(EARLIER)


@pytest.mark.parametrize("name", TYPES)
def test_the_message_encodes_to_the_same_bytes(name: str) -> None:
    assert EXAMPLES[name].encode() == golden(name)


@pytest.mark.parametrize("name", TYPES)
def test_what_a_later_writer_adds_is_kept_out(name: str) -> None:
    message: dict[str, Any] = json.loads(golden(name))
    message["addedlater"] = "1"
    message["data"]["added_later"] = {"deep": [1, 2]}
    for value in message["data"].values():
        # Free objects are passed on as they are: only records keep out what they do not know.
        if isinstance(value, dict) and value.keys() & {"needs", "name", "parties"}:
            value["added_later"] = True
    assert decode(json.dumps(message).encode()) == EXAMPLES[name]


def test_each_optional_field_has_a_value_somewhere_in_its_golden_file() -> None:
    empty: set[str] = set()
    filled: set[str] = set()

    def walk(node: Any, place: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                (empty if value in (None, [], "") else filled).add(f"{place}/{key}")
                walk(value, f"{place}/{key}")
        elif isinstance(node, list):
            for value in node:
                walk(value, place)

    for name in TYPES:
        walk(json.loads(golden(name))["data"], name)
    assert empty - filled == set()


def test_freezing_writes_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    kept = tmp_path / f"{TYPES[0]}.json"
    kept.write_bytes(b"as it was")
    assert sorted(freeze(tmp_path)) == TYPES[1:]
    assert kept.read_bytes() == b"as it was"
    assert (tmp_path / f"{TYPES[1]}.json").read_bytes() == golden(TYPES[1])
    assert freeze(tmp_path) == []
