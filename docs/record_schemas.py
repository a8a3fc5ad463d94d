"""The JSON Schemas of records, as components of the OpenAPI document."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from contracts.publish import description_of, record_definitions
from contracts.responses.form import Shape, is_omitted, json_name, records_in

Json = dict[str, Any]

_DEFS = "#/$defs/"
_COMPONENTS = "#/components/schemas/"


def request_schemas(records: Iterable[type]) -> Json:
    """Return the closed schemas of these records and of all records and vocabularies in them.

    A record's name has the suffix `Input`; a vocabulary keeps its own.
    """
    found: Json = {}
    for record in sorted(set(records), key=lambda one: one.__name__):
        names = {inner.__name__ for inner in records_in(record)}
        for name, schema in record_definitions(record, closed=True).items():
            _add(found, _input(name, names), _referring(schema, names))
    for record in set(records):
        for inner in records_in(record):
            _describe(found[_input(inner.__name__, {inner.__name__})], inner)
    return found


def response_schemas(records: Iterable[type]) -> Json:
    """Return the open schemas of these records and of all records in them. Every member is required."""
    found: Json = {}
    for record in sorted(set(records), key=lambda one: one.__name__):
        inner = {one.__name__: one for one in records_in(record)}
        for name, schema in record_definitions(record, closed=False).items():
            shown = _shown(inner[name], _referring(schema, ())) if name in inner else schema
            _add(found, name, shown)
    return found


def _add(found: Json, name: str, schema: Json) -> None:
    if found.setdefault(name, schema) != schema:
        raise ValueError(f"two different records are called {name}")


def _input(name: str, records: Iterable[str]) -> str:
    return f"{name}Input" if name in records else name


def _referring(node: Any, records: Iterable[str]) -> Any:
    if isinstance(node, Mapping):
        kept = {name: _referring(value, records) for name, value in node.items()}
        if isinstance(kept.get("$ref"), str) and kept["$ref"].startswith(_DEFS):
            kept["$ref"] = _COMPONENTS + _input(kept["$ref"].removeprefix(_DEFS), records)
        return kept
    return [_referring(item, records) for item in node] if isinstance(node, list) else node


def _shown(record: type, schema: Json) -> Json:
    """Return a response's schema, with names and shapes as in `contracts/responses/form.py`."""
    properties, required = {}, []
    hints = typing.get_type_hints(record, include_extras=True)
    for item in dataclasses.fields(record):
        own = {key: value for key, value in schema["properties"][item.name].items() if key != "default"}
        if (shape := _shape(hints[item.name])) is not None:
            nullable = _is_nullable(hints[item.name]) and not is_omitted(item)
            keywords: Json = dict(shape.keywords)
            own = {"anyOf": [keywords, {"type": "null"}]} if nullable else keywords
        elif is_omitted(item):
            own = _not_null(own)
        properties[json_name(item)] = own
        if not is_omitted(item):
            required.append(json_name(item))
    shown: Json = {**schema, "properties": properties, "required": sorted(required)}
    shown.pop("additionalProperties", None)
    return _describe(shown, record)


def _describe(schema: Json, record: type) -> Json:
    if text := description_of(record):
        schema["description"] = text
    return schema


def _shape(hint: Any) -> Shape | None:
    if typing.get_origin(hint) is typing.Annotated:
        return next((one for one in typing.get_args(hint)[1:] if isinstance(one, Shape)), None)
    return None


def _is_nullable(hint: Any) -> bool:
    return type(None) in typing.get_args(typing.get_args(hint)[0])


def _not_null(schema: Json) -> Json:
    kind = schema.get("type")
    if isinstance(kind, list):
        left = [one for one in kind if one != "null"]
        return {**schema, "type": left[0] if len(left) == 1 else left}
    return schema
