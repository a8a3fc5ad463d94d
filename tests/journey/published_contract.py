"""The published contracts as a partner's program uses them: the files alone, and a JSON Schema validator."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

CONTRACTS = Path(__file__).parents[2] / "contracts"


def check(schema: Mapping[str, Any], document: Any) -> None:
    """Assert that a document follows a schema and has no member that the schema does not describe."""
    validator = Draft202012Validator(_closed(schema), format_checker=FormatChecker())
    faults = [f"{list(fault.absolute_path)}: {fault.message}" for fault in validator.iter_errors(document)]
    assert faults == [], json.dumps(document)[:2000]


class PublishedApi:
    """contracts/openapi.json: checks each answer of the hub."""

    def __init__(self) -> None:
        self.document = json.loads((CONTRACTS / "openapi.json").read_bytes())
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), item)
            for path, item in sorted(self.document["paths"].items(), key=lambda one: one[0].count("{"))
        ]

    def checked(self, answer: httpx.Response) -> Any:
        """Return the body of an answer after a check of its status, media type and content."""
        operation = self._operation(answer.request)
        assert str(answer.status_code) in operation["responses"], (answer.request.url, answer.text)
        described = operation["responses"][str(answer.status_code)]
        if "$ref" in described:
            described = self.document["components"]["responses"][described["$ref"].rpartition("/")[2]]
        if "content" not in described:
            assert answer.content == b""
            return None
        media_type = answer.headers["Content-Type"].partition(";")[0]
        schema = {**described["content"][media_type]["schema"], "components": self.document["components"]}
        check(schema, answer.json())
        return answer.json()

    def check_request(self, request: httpx.Request) -> None:
        """Assert that the JSON of a request follows the schema of its body."""
        (media,) = self._operation(request)["requestBody"]["content"].values()
        check({**media["schema"], "components": self.document["components"]}, json.loads(request.content))

    def _operation(self, request: httpx.Request) -> Mapping[str, Any]:
        item = next(item for path, item in self._paths if path.fullmatch(request.url.path))
        operation: Mapping[str, Any] = item[request.method.lower()]
        return operation


def check_message(message: Mapping[str, Any]) -> None:
    """Assert that a message of the mailbox follows the envelope's schema and that of its type."""
    check(_schema("envelope"), message)
    check(_schema(f"events/{message['type'].removeprefix('kopuro.')}"), message)


def check_webhook(body: Any) -> None:
    """Assert that the body of a webhook request follows its schema."""
    check(_schema("webhook"), body)


def _schema(name: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads((CONTRACTS / "schemas" / f"{name}.json").read_bytes())
    return schema


def _closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema with every described object closed, so that an undocumented member is a fault."""
    closed = copy.deepcopy(dict(schema))
    nodes: list[Any] = [closed]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            if node.get("type") == "object" and isinstance(node.get("properties"), dict):
                node.setdefault("additionalProperties", False)
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
    return closed
