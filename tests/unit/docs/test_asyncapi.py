"""The AsyncAPI document: equal to the code, whole, with payloads that the golden messages follow.

The official schema of AsyncAPI 3.0 is published for Node only (`make lint-contracts` uses it). Here the
structure is checked that the document has: required members, references, operations and their channels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from contracts.facts import CATALOGUE
from contracts.publish import FOLDER
from docs import asyncapi, openapi
from docs.diagrams import mailbox_table

DOCUMENT: Mapping[str, Any] = json.loads(asyncapi.FILE.read_bytes())
GOLDEN = Path(__file__).parents[2] / "golden_messages"
KINDS = sorted(DOCUMENT["components"]["messages"])


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def resolved(reference: str) -> Any:
    assert reference.startswith("#/")
    node: Any = DOCUMENT
    for part in reference[2:].split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def test_file_equals_the_declarations_in_the_code() -> None:
    assert asyncapi.FILE.read_bytes() == asyncapi.content(), "run `python -m docs.asyncapi`"


def test_document_has_the_members_that_asyncapi_3_0_requires() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= server.keys()
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert operation["channel"]["$ref"].startswith("#/channels/")


def test_descriptions_have_the_words_of_json() -> None:
    def descriptions(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for name, value in node.items() if name == "description" and type(value) is str)
            node = list(node.values())
        for child in node if isinstance(node, list) else ():
            yield from descriptions(child)

    for file in (asyncapi.FILE, openapi.FILE, *FOLDER.rglob("*.json")):
        found = list(descriptions(json.loads(file.read_bytes())))
        assert [text for text in found if re.search(r"\bNone\b", text)] == [], file.name


def test_every_reference_resolves() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 3 * len(KINDS)
    for reference in found:
        assert isinstance(resolved(reference), dict), reference


def test_operation_names_exactly_the_messages_of_its_channel() -> None:
    # AsyncAPI 3.0: an operation refers to messages of its channel, never to the components
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        wanted = {f"{channel}/messages/{name}" for name in resolved(channel)["messages"]}
        assert {one["$ref"] for one in operation["messages"]} == wanted


def test_messages_are_those_of_the_mailbox() -> None:
    rows = [line.split("`")[1] for line in mailbox_table().splitlines() if line.startswith("| `")]
    assert sorted(rows) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_golden_messages_follow_the_payload(kind: str) -> None:
    message = DOCUMENT["components"]["messages"][kind]
    schema = {"$ref": message["payload"]["schema"]["$ref"], "components": DOCUMENT["components"]}
    assert message["name"] in CATALOGUE
    files = sorted(GOLDEN.rglob(f"{message['name']}*.json"))
    assert files
    for file in files:
        golden = json.loads(file.read_bytes())
        assert [error.message for error in Draft202012Validator(schema).iter_errors(golden)] == [], file.name
