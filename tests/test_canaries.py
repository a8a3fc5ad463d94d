"""The search for canaries finds each of them, and a new field of a schema gets one by itself."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from contracts.case import Case
from contracts.records import load
from tests.support.canaries import SCHEMAS, Canaries, UnknownForm, leaves, with_leaf


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("entry", content)
    return file.getvalue()


HIDDEN: dict[str, Callable[[str], bytes]] = {
    "in clear": lambda canary: f'{{"name":"{canary}"}}'.encode(),
    "in UTF-16": lambda canary: f"name: {canary}".encode("utf-16-le"),
    "in base64": lambda canary: base64.b64encode(f"x{canary}y".encode()),
    "in base64url of JSON": lambda canary: base64.urlsafe_b64encode(json.dumps([canary]).encode()),
    "in base64 of UTF-16": lambda canary: base64.b64encode(f"ab{canary}".encode("utf-16-be")),
    "in hexadecimal": lambda canary: canary.encode().hex().encode(),
    "in a gzip file": lambda canary: gzip.compress(canary.encode()),
    "in a zip archive": lambda canary: _zipped(canary.encode()),
    "in base64 in a gzip file": lambda canary: gzip.compress(base64.b64encode(canary.encode())),
}


@pytest.mark.parametrize("hidden", HIDDEN)
def test_canary_is_found_and_named(hidden: str) -> None:
    canaries = Canaries()
    texts = {place: canaries.text(place) for place in ("first", "second", "third")}
    assert canaries.found(HIDDEN[hidden](texts["second"])) == {"second"}
    assert canaries.found(HIDDEN[hidden]("731".ljust(15, "0"))) == set()


def test_every_leaf_of_a_case_has_a_canary_and_the_case_follows_the_contract() -> None:
    canaries = Canaries()
    case = canaries.case("case")
    load(Case, case, slug="case-unreadable")
    schema = json.loads((SCHEMAS / "case.json").read_bytes())
    documents = schema["$defs"]["Document"]["properties"]
    expected = {f"case/{name}" for name in schema["properties"] if name not in ("documents", "phones")}
    expected |= {"case/phones/0", *(f"case/documents/0/{name}" for name in documents)}
    assert canaries.found(json.dumps(case).encode()) == expected


def test_new_text_field_of_a_schema_gets_a_canary() -> None:
    canaries = Canaries()
    schema = {"type": "object", "properties": {"mother": {"type": ["string", "null"], "maxLength": 50}}}
    planted = canaries.planted(schema, "case")
    assert canaries.found(json.dumps(planted).encode()) == {"case/mother"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^[a-z]+$"},
        {"type": "string", "format": "date"},
        {"type": "integer"},
    ],
)
def test_new_field_to_which_no_canary_is_fitted_is_an_error(schema: dict[str, Any]) -> None:
    with pytest.raises(UnknownForm):
        Canaries().planted({"type": "object", "properties": {"birth": schema}}, "case")


def test_leaves_are_those_of_references_lists_and_alternatives() -> None:
    document = {"components": {"schemas": {"Inner": {"properties": {"a": {"type": "string"}}}}}}
    inner = {"$ref": "#/components/schemas/Inner"}
    schema = {"properties": {"list": {"items": inner}, "either": {"anyOf": [inner, {"type": "null"}]}}}
    assert set(leaves(document, schema)) == {("list", "0", "a"), ("either", "a"), ("either",)}
    assert with_leaf({"list": [{"b": 1}]}, ("list", "0", "a"), "x") == {"list": [{"b": 1, "a": "x"}]}
