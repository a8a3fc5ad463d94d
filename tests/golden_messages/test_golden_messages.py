"""The golden bytes of every published fact. Files may be added, never changed."""

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


def test_facts_and_golden_files_match() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == TYPES


@pytest.mark.parametrize("name", TYPES)
def test_golden_bytes_decode_to_the_example(name: str) -> None:
    assert decode(golden(name)) == EXAMPLES[name]


@pytest.mark.parametrize("path", sorted((FOLDER / "earlier").glob("*.json")), ids=lambda path: path.stem)
def test_earlier_golden_bytes_decode_to_the_example(path: Path) -> None:
    assert decode(path.read_bytes()) == EARLIER[path.stem]


def test_every_earlier_example_has_golden_bytes() -> None:
    assert sorted(path.stem for path in (FOLDER / "earlier").glob("*.json")) == sorted(EARLIER)


@pytest.mark.parametrize("name", TYPES)
def test_example_encodes_to_the_golden_bytes(name: str) -> None:
    assert EXAMPLES[name].encode() == golden(name)


@pytest.mark.parametrize("name", TYPES)
def test_unknown_fields_in_golden_bytes_are_ignored(name: str) -> None:
    message: dict[str, Any] = json.loads(golden(name))
    message["addedlater"] = "1"
    message["data"]["added_later"] = {"deep": [1, 2]}
    for value in message["data"].values():
        # Free-form objects pass unchanged: only records drop unknown members.
        if isinstance(value, dict) and value.keys() & {"needs", "name", "parties"}:
            value["added_later"] = True
    assert decode(json.dumps(message).encode()) == EXAMPLES[name]


def test_every_optional_field_has_a_golden_value() -> None:
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


def test_freeze_writes_only_missing_files(tmp_path: Path) -> None:
    kept = tmp_path / f"{TYPES[0]}.json"
    kept.write_bytes(b"as it was")
    assert sorted(freeze(tmp_path)) == TYPES[1:]
    assert kept.read_bytes() == b"as it was"
    assert (tmp_path / f"{TYPES[1]}.json").read_bytes() == golden(TYPES[1])
    assert freeze(tmp_path) == []
