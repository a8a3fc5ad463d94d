"""Canaries: distinct texts in place of a person's data, made from the published schemas.

Every leaf of a schema gets one, so that a new field is covered by itself. A canary consists of digits: it
stays itself in JSON, URLs, HTML and lower case, and it fits a telephone number.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import secrets
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

SCHEMAS: Final = Path(__file__).parents[2] / "contracts" / "schemas"
# Forms of text that a canary must fit, by the pattern of the schema.
_FITTING: Final[Mapping[str, Callable[[str], str]]] = {r"^\+[1-9][0-9]{6,14}$": lambda canary: f"+{canary}"}
_UNPACKED: Final = 64 * 1024 * 1024


class UnknownForm(Exception):
    """Raised for a pattern of a personal field to which no canary is fitted yet."""


class Canaries:
    """The canaries of one test. All begin with the same digits, so that one search finds each of them."""

    def __init__(self) -> None:
        # No file that was last written before holds a canary. A file system's clock may lag a little.
        self.invented_at = time.time() - 10
        self._start = str(secrets.randbelow(9 * 10**9) + 10**9)
        self._forms = frozenset(_forms(self._start))
        self._places: list[str] = []

    def text(self, place: str) -> str:
        """Return a new canary. place: says where it is planted."""
        self._places.append(place)
        return self._numbered(len(self._places) - 1)

    def case(self, place: str) -> dict[str, Any]:
        """Return a case with a canary in every leaf of its schema."""
        planted: dict[str, Any] = self.planted(json.loads((SCHEMAS / "case.json").read_bytes()), place)
        return planted

    def planted(self, schema: Mapping[str, Any], place: str) -> Any:
        """Return a value that follows the schema, with every member and a canary in every text.

        Raises UnknownForm.
        """
        return self._planted(schema, schema, place)

    def found(self, content: bytes) -> set[str]:
        """Return the places whose canary is in the content: in clear, encoded or packed."""
        if not any(form in content for form in self._forms):
            return {place for inner in _unpacked(content) for place in self.found(inner)}
        named = {
            place
            for number, place in enumerate(self._places)
            if any(form in content for form in _forms(self._numbered(number)))
        }
        return named or {"a part of a canary"}

    def forms(self) -> frozenset[bytes]:
        """Return the bytes of which one is in every content with a canary that is not packed."""
        return self._forms

    def _numbered(self, number: int) -> str:
        # The last digit is cut off in some forms.
        assert number < 10_000
        return f"{self._start}{number:04d}7"

    def _planted(self, whole: Mapping[str, Any], schema: Mapping[str, Any], place: str) -> Any:
        if "$ref" in schema:
            return self._planted(whole, whole["$defs"][schema["$ref"].rpartition("/")[2]], place)
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if "object" in types:
            members = schema["properties"].items()
            return {name: self._planted(whole, member, f"{place}/{name}") for name, member in members}
        if "array" in types:
            return [self._planted(whole, schema["items"], f"{place}/0")]
        if "string" not in types:
            raise UnknownForm(f"{place}: {schema}")
        if {"enum", "const", "format"} & schema.keys():
            raise UnknownForm(f"{place}: {schema}")
        pattern = schema.get("pattern")
        if pattern is None:
            # Sixteen characters: the content of a document must be base64.
            return f"0{self.text(place)}"
        if pattern not in _FITTING:
            raise UnknownForm(f"{place}: {pattern}")
        return _FITTING[pattern](self.text(place))


def leaves(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every leaf of a schema in an OpenAPI document; `0` is the first item of a list."""
    return (path for path, _ in leaf_schemas(document, schema))


def leaf_schemas(
    document: Mapping[str, Any], schema: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield the path of every leaf, as `leaves` does, with its own schema."""
    if "$ref" in schema:
        yield from leaf_schemas(
            document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        )
        return
    inner = {
        **{name: [member] for name, member in schema.get("properties", {}).items()},
        **({"0": [schema["items"]]} if "items" in schema else {}),
    }
    for name, members in inner.items():
        for member in members:
            for path, leaf in leaf_schemas(document, member):
                yield (name, *path), leaf
    alternatives = [one for kind in ("anyOf", "oneOf", "allOf") for one in schema.get(kind, ())]
    for alternative in alternatives:
        yield from leaf_schemas(document, alternative)
    if not inner and not alternatives:
        yield (), schema


def with_leaf(value: Any, path: tuple[str, ...], leaf: Any) -> Any:
    """Return the document with another value at the path. Members that are missing on the way are added."""
    if not path:
        return leaf
    if path[0] == "0":
        return [with_leaf(value[0] if isinstance(value, list) and value else None, path[1:], leaf)]
    members = value if isinstance(value, dict) else {}
    return {**members, path[0]: with_leaf(members.get(path[0]), path[1:], leaf)}


def _forms(canary: str) -> Iterator[bytes]:
    """Return the encodings of digits: ASCII, UTF-16, and both in base64 at each of the three alignments."""
    for plain in (canary.encode(), canary.encode("utf-16-le"), canary.encode("utf-16-be")):
        yield plain
        for shift in range(3):
            # Characters that depend on the neighbours too are left out.
            start, end = -(-shift * 8 // 6), (shift + len(plain)) * 8 // 6
            encoded = base64.b64encode(b"\0" * shift + plain)[start:end]
            yield encoded
            yield encoded.replace(b"+", b"-").replace(b"/", b"_")
    yield canary.encode().hex().encode()


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Yield what a gzip file or the files of a zip archive contain."""
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(io.BytesIO(content)) as packed:
                yield packed.read(_UNPACKED)
        except (OSError, EOFError, zlib.error):
            return
    elif content.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    with archive.open(name) as packed:
                        yield packed.read(_UNPACKED)
        except (zipfile.BadZipFile, OSError, zlib.error):
            return
