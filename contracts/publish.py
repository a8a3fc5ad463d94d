"""Publishing of the contracts as JSON Schema 2020-12: `python -m contracts.publish [--check]`.

The files in `contracts/schemas/` are generated from the records and never edited by hand. Schemas of
partners' input (`organization`, `referral_submission`, ...) are as strict as the APIs: they list every code
and refuse unknown fields. Schemas of events stay open: a later writer may send more fields, and a vocabulary
may grow without a new version.

The client's copy of the vocabularies' labels (`LABELS`) is generated with them.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import fields
from marshmallow.validate import Equal, OneOf

from contracts import vocabularies
from contracts.case import Case
from contracts.envelope import LONGEST_ID
from contracts.errors import PROBLEM_PREFIX, PROBLEMS, PointerError
from contracts.facts import CATALOGUE, TYPE_PREFIX, Fact
from contracts.moments import PastYears, Within
from contracts.organization import Agreement, Organization
from contracts.record_schema import schema_of
from contracts.referral import ReferralSubmission
from contracts.statement_file import statement_file_schema
from contracts.webhook_request import webhook_schema

FOLDER = Path(__file__).parent / "schemas"
# The client has no server's packages, and shows labels without asking the hub.
LABELS = Path(__file__).parents[1] / "client" / "kopuro_client" / "commands" / "labels.json"
LABEL_LANGUAGES = ("en", "ru", "ky")  # the languages of the client's sentences
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID_PREFIX = "urn:kopuro:schema:"

# Bodies that partners send or seal: file name -> record.
BODIES: Mapping[str, type] = {
    "agreement": Agreement,
    "case": Case,
    "organization": Organization,
    "referral_submission": ReferralSubmission,
}

Json = dict[str, Any]

_DEFS = "#/$defs/"
_COMPONENTS = "#/components/schemas/"


def published() -> dict[str, bytes]:
    """Return every file to publish, by its path under `contracts/schemas/`."""
    schemas = {f"{name}.json": body_schema(name, record) for name, record in BODIES.items()}
    schemas["envelope.json"] = envelope_schema()
    schemas["problem.json"] = problem_schema()
    schemas["webhook.json"] = webhook_document()
    schemas["statement.json"] = statement_document()
    for fact in CATALOGUE.values():
        schemas[f"events/{fact.type.removeprefix(TYPE_PREFIX)}.json"] = event_schema(fact)
    return {path: encode_json(schema) for path, schema in sorted(schemas.items())}


def labels() -> bytes:
    """Return the client's file: the labels of each vocabulary by code, in the order of LABEL_LANGUAGES."""
    names = sorted(path.stem for path in vocabularies.FOLDER.glob("*.csv"))
    lists = (
        f"  {json.dumps(name)}: {{\n"
        + ",\n".join(
            f"    {json.dumps(code)}: {json.dumps([row[one] for one in LABEL_LANGUAGES], ensure_ascii=False)}"
            for code, row in vocabularies.rows(name).items()
        )
        + "\n  }"
        for name in names
    )
    return ("{\n" + ",\n".join(lists) + "\n}\n").encode()


def body_schema(name: str, record: type) -> Json:
    """Return the schema of a partner's input: closed records, all codes listed."""
    definitions = record_definitions(record, closed=True)
    return _document(name, record, definitions.pop(record.__name__), definitions)


def event_schema(fact: type[Fact]) -> Json:
    """Return the schema of a whole message: the envelope with its constants, and the fact as `data`."""
    own = {"type": {"const": fact.type}, "dataclassification": {"const": fact.classification}}
    schema = _envelope({**own, "data": {"$ref": _DEFS + fact.__name__}})
    name = "events:" + fact.type.removeprefix(TYPE_PREFIX)
    return _document(name, fact, schema, record_definitions(fact, closed=False), title=fact.type)


def envelope_schema() -> Json:
    """Return the schema of the envelope that all messages share."""
    schema = _envelope(
        {
            "type": {"type": "string", "pattern": r"^kopuro\.[a-z_]+\.[a-z_]+\.v[1-9][0-9]*$"},
            "dataclassification": {"enum": sorted({f.classification for f in CATALOGUE.values()})},
            "data": {"type": "object"},
        }
    )
    description = "A CloudEvents 1.0 message in structured JSON. Readers must ignore unknown attributes."
    return _head("envelope", "Envelope", description) | schema


def problem_schema() -> Json:
    """Return the schema of an RFC 9457 problem; open, because later versions may add members and types."""
    definitions = record_definitions(PointerError, closed=False)
    schema: Json = {
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "pattern": f"^{PROBLEM_PREFIX}[a-z-]+$",
                "examples": [PROBLEM_PREFIX + slug for slug in sorted(PROBLEMS)],
            },
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": {"$ref": _DEFS + PointerError.__name__}},
            "retry_after": {
                "type": "integer",
                "minimum": 1,
                "description": "For `too-many-submissions`: seconds until the submission can be repeated.",
            },
            "until": {
                "type": "string",
                "format": "date-time",
                "description": "The time until which this is refused, where it can be sent again afterwards.",
            },
        },
        "required": ["detail", "status", "title", "type"],
    }
    description = "A problem (RFC 9457), the same over HTTP and in a mailbox."
    return _head("problem", "Problem", description) | schema | {"$defs": definitions}


def webhook_document() -> Json:
    """Return the schema of a webhook request's body."""
    description = "The body of a webhook request: a notice of a message, a challenge, or a test."
    return _head("webhook", "Webhook", description) | webhook_schema()


def statement_document() -> Json:
    """Return the schema of a statement with its proofs."""
    description = (
        "An organisation's statement of a month with its proofs: `kopuro verify statement` reads it."
    )
    return _head("statement", "Statement", description) | statement_file_schema()


def _envelope(own: Json) -> Json:
    text = {"type": "string", "minLength": 1}
    optional = {"type": ["string", "null"], "minLength": 1}
    return {
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**text, "maxLength": LONGEST_ID, "pattern": "^[^\\u0000]*$"},
            "source": text,
            "subject": text,
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "partitionkey": text,
            "correlationid": text,
            "causationid": optional,
            "traceparent": optional,
            **own,
        },
        "required": [
            "correlationid",
            "data",
            "id",
            "partitionkey",
            "source",
            "specversion",
            "time",
            "type",
        ],
    }


def _document(name: str, record: type, schema: Json, definitions: Json, title: str = "") -> Json:
    head = _head(name, title or record.__name__, description_of(record))
    return head | schema | ({"$defs": definitions} if definitions else {})


def _head(name: str, title: str, description: str) -> Json:
    head = {"$schema": DIALECT, "$id": ID_PREFIX + name, "title": title}
    return head | ({"description": description} if description else {})


def description_of(record: type) -> str:
    """Return what a record's docstring says, for readers of JSON: `null` where Python has None."""
    # A dataclass without a docstring gets its signature as one, which does not help a partner.
    text = inspect.cleandoc(record.__doc__ or "")
    return "" if text.startswith(f"{record.__name__}(") else re.sub(r"\bNone\b", "null", text)


def record_definitions(record: type, *, closed: bool) -> Json:
    """Return the JSON Schemas of a record and of every record in it, by class name."""
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    spec = APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])
    vocabularies_met: Json = {}

    def vocabulary(self: Any, field: Any, **kwargs: Any) -> Json:
        for validator in field.validators:
            if isinstance(validator, vocabularies.InVocabulary):
                if not closed:
                    return {"description": f"Code of the vocabulary '{validator.name}'."}
                vocabularies_met[validator.name] = {"enum": sorted(vocabularies.codes(validator.name))}
                return {"$ref": _DEFS + validator.name}
        return {}

    def narrowed(self: Any, field: Any, **kwargs: Any) -> Json:
        """Return the schema of the validators that apispec does not know."""
        if field.load_default is None and not field.allow_none:
            kwargs["ret"].pop("default")  # `NOT_NULL`: null stands for a member that was left out
        for validator in field.validators:
            if isinstance(validator, Within | PastYears):
                return {"description": validator.description}
            if isinstance(validator, Equal):
                kwargs["ret"].pop("enum", None)  # apispec writes the constant as an enum
                return {"const": validator.comparable}
            if isinstance(validator, OneOf) and isinstance(field, fields.Enum):
                return {"enum": [kind.value for kind in validator.choices]}
        return {}

    converter: Any = plugin.converter  # set by the APISpec; apispec types it only in part
    converter.add_attribute_function(vocabulary)
    converter.add_attribute_function(narrowed)
    spec.components.schema(record.__name__, schema=schema_of(record))
    found = spec.to_dict()["components"]["schemas"] | vocabularies_met
    definitions: Json = _in_place(found, closed=closed)
    return definitions


def _name(schema: Any) -> str:
    cls = schema if isinstance(schema, type) else type(schema)
    return cls.__name__.removesuffix("Schema")


def _in_place(node: Any, *, closed: bool) -> Any:
    """Convert OpenAPI references to references within the file; open the records unless `closed`."""
    if isinstance(node, Mapping):
        kept = {
            key: _in_place(value, closed=closed)
            for key, value in node.items()
            # apispec writes {} for "any member"; omitting it means the same
            if not (key == "additionalProperties" and (value == {} or not closed))
        }
        if "$ref" in kept:
            kept["$ref"] = kept["$ref"].replace(_COMPONENTS, _DEFS)
        return kept
    if isinstance(node, list):
        return [_in_place(value, closed=closed) for value in node]
    return node


def encode_json(schema: Json) -> bytes:
    """Return a document as the published files have it."""
    return (json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def drifted(folder: Path = FOLDER) -> list[str]:
    """Return the files of `folder` that are missing, stale or no longer published."""
    wanted = published()
    present = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.json")}
    return sorted(name for name in wanted | present if wanted.get(name) != present.get(name))


def publish(folder: Path = FOLDER) -> list[str]:
    """Write missing and stale files and remove those no longer published. Returns the names touched."""
    wanted = published()
    names = drifted(folder)
    for name in names:
        path = folder / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[name])
        else:
            path.unlink()
    return names


def main(arguments: Iterable[str]) -> int:
    """Publish, or with `--check` only report drift. Returns 1 when a file has drifted."""
    parser = argparse.ArgumentParser(prog="python -m contracts.publish")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file has drifted")
    check = parser.parse_args(list(arguments)).check
    names = [f"contracts/schemas/{name}" for name in (drifted() if check else publish())]
    if not LABELS.exists() or LABELS.read_bytes() != labels():
        names.append(LABELS.relative_to(LABELS.parents[3]).as_posix())
        if not check:
            LABELS.write_bytes(labels())
    verb = "drifted" if check else "published"
    sys.stdout.writelines(f"{verb}: {name}\n" for name in names)
    return 1 if check and names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
