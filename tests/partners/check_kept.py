"""Check what a shell has kept against the published contracts: `check_kept.py CONTRACTS ANSWERS WEBHOOKS`.

ANSWERS has, for each request, `N.request` (method, path, status and media type, a line each), `N.answer` and,
with a body, `N.sent`. WEBHOOKS is what `receive_webhooks.py` wrote. Prints how many documents of each kind
followed their schemas, as JSON.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

contracts, answers, webhooks = (Path(argument) for argument in sys.argv[1:])
API = json.loads((contracts / "openapi.json").read_bytes())
checked = dict.fromkeys(("requests", "answers", "messages", "webhooks"), 0)


def closed(node: Any) -> Any:
    """Return the schema with every described object closed, so that an undocumented member is a fault."""
    if isinstance(node, list):
        return [closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    inner = {name: closed(value) for name, value in node.items()}
    described = node.get("type") == "object" and isinstance(node.get("properties"), dict)
    return {"additionalProperties": False, **inner} if described else inner


def check(kind: str, what: str, schema: Any, document: Any) -> None:
    """Count a document that follows the schema; end the program at one that does not."""
    require(what, schema, document)
    checked[kind] += 1


def require(what: str, schema: Any, document: Any) -> None:
    """End the program if a document does not follow the schema."""
    validator = Draft202012Validator(closed(schema), format_checker=FormatChecker())
    for fault in validator.iter_errors(document):
        sys.exit(f"{what}: {list(fault.absolute_path)}: {fault.message}")


def schema(name: str) -> Any:
    """Return a schema of contracts/schemas."""
    return json.loads((contracts / "schemas" / f"{name}.json").read_bytes())


def in_api(node: Any) -> Any:
    """Return a schema of the OpenAPI document with the components that it refers to."""
    return {**node, "components": API["components"]}


def check_message(message: Any) -> None:
    """Check a message of the mailbox."""
    require("envelope", schema("envelope"), message)
    check("messages", message["type"], schema(f"events/{message['type'].removeprefix('kopuro.')}"), message)


def check_answer(file: Path) -> None:
    """Check a request and its answer."""
    method, path, status, *media_types = file.read_text(encoding="utf-8").splitlines()
    paths = sorted(API["paths"], key=lambda one: one.count("{"))
    found = next(one for one in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), path))
    operation = API["paths"][found][method.lower()]
    what = f"{method} {path}: {status}"
    sent = file.with_suffix(".sent")
    if sent.exists():
        (media,) = operation["requestBody"]["content"].values()
        check("requests", what, in_api(media["schema"]), json.loads(sent.read_bytes()))
    described = operation["responses"].get(status) or sys.exit(f"{what} is undocumented")
    if "$ref" in described:
        described = API["components"]["responses"][described["$ref"].rpartition("/")[2]]
    text = file.with_suffix(".answer").read_text(encoding="utf-8")
    if "content" not in described:
        assert text == "", what
        checked["answers"] += 1
        return
    answer = json.loads(text)
    check("answers", what, in_api(described["content"][media_types[0].partition(";")[0]]["schema"]), answer)
    if path == "/v1/mailbox":
        for message in answer["items"]:
            check_message(message)


for kept in answers.glob("*.request"):
    check_answer(kept)
for kept in webhooks.glob("*.body"):
    check("webhooks", "webhook", schema("webhook"), json.loads(kept.read_bytes()))
print(json.dumps(checked))  # noqa: T201 - its result
