"""The compatibility of the contracts with the last published version: `python -m docs.compatibility`.

    python -m docs.compatibility                    fail if a partner's program could break
    python -m docs.compatibility --publish 1.1.0    freeze the contracts as a version, at a release

A published version is a folder of `contracts/published`: `openapi.json`, and the schemas of the messages as
`events/*.json`. Requests may only become wider (a new optional member, a new code), answers and messages only
richer (a new member). Golden messages are checked both ways: today's against the published schemas, as a
partner with the old schemas reads them, and every earlier one against today's.

Exit status: 0 compatible, or nothing is published yet; 1 not compatible; 2 wrong use.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import contracts
from contracts.publish import FOLDER
from docs import openapi

PUBLISHED: Final = Path(contracts.__file__).parent / "published"
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_METHODS: Final = ("get", "put", "post", "patch", "delete")

Json = Mapping[str, Any]


def last_published(folder: Path = PUBLISHED) -> Path | None:
    """Return the folder of the newest published version, or None."""
    versions = [one for one in folder.glob("*") if _VERSION.fullmatch(one.name)]
    return max(versions, key=lambda one: tuple(map(int, one.name.split("."))), default=None)


def publish(version: str, folder: Path = PUBLISHED) -> Path:
    """Freeze the present contracts as a version. Raises FileExistsError: a version never changes."""
    target = folder / version
    target.mkdir(parents=True)
    shutil.copyfile(openapi.FILE, target / "openapi.json")
    shutil.copytree(FOLDER / "events", target / "events")
    return target


def broken_requests_and_answers(old: Json, new: Json) -> Iterator[str]:
    """Yield each way in which a program that was written for `old` could fail with `new`."""
    for path, old_item in old["paths"].items():
        for method in _METHODS:
            if (before := old_item.get(method)) is None:
                continue
            name = f"{method.upper()} {path}"
            after = new["paths"].get(path, {}).get(method)
            if after is None:
                yield f"{name}: removed"
                continue
            yield from _broken_parameters(name, before, after)
            for media, old_schema, new_schema in _bodies(before, after):
                if new_schema is None:
                    yield f"{name}: does not take {media} any more"
                else:
                    yield from _narrowed(f"{name} body", _in(old, old_schema), _in(new, new_schema))
            yield from _broken_answers(name, (old, before), (new, after))


def _broken_parameters(name: str, before: Json, after: Json) -> Iterator[str]:
    known = {(one["in"], one["name"]): one for one in before.get("parameters", ())}
    taken = {(one["in"], one["name"]): one for one in after.get("parameters", ())}
    for key in sorted(known.keys() - taken.keys()):
        yield f"{name}: parameter {key[1]} removed"
    for key, one in sorted(taken.items()):
        if one["required"] and not known.get(key, {}).get("required"):
            yield f"{name}: parameter {key[1]} became required"
        lost = set(known.get(key, {}).get("schema", {}).get("enum", ())) - set(one["schema"].get("enum", ()))
        if lost and "enum" in one["schema"]:
            yield f"{name}: parameter {key[1]} does not take {', '.join(sorted(lost))} any more"


def _bodies(before: Json, after: Json) -> Iterator[tuple[str, Json, Json | None]]:
    taken = after.get("requestBody", {}).get("content", {})
    for media, content in before.get("requestBody", {}).get("content", {}).items():
        yield media, content["schema"], taken.get(media, {}).get("schema")


def _broken_answers(name: str, old: tuple[Json, Json], new: tuple[Json, Json]) -> Iterator[str]:
    for status, before in old[1]["responses"].items():
        if not status.startswith("2"):
            continue
        after = new[1]["responses"].get(status)
        if after is None:
            yield f"{name}: does not answer {status} any more"
            continue
        for media, content in before.get("content", {}).items():
            shown = after.get("content", {}).get(media)
            if shown is None:
                yield f"{name} {status}: no {media} any more"
            else:
                where = f"{name} {status}"
                yield from _impoverished(where, _in(old[0], content["schema"]), _in(new[0], shown["schema"]))


class _Schema:
    """A schema in its document, with references resolved."""

    def __init__(self, document: Json, node: Json) -> None:
        self.document = document
        while "$ref" in node and node["$ref"].startswith("#/"):
            found: Any = document
            for part in node["$ref"][2:].split("/"):
                found = found[part]
            node = found
        self.node = node

    def member(self, name: str) -> _Schema:
        return _Schema(self.document, self.node["properties"][name])

    @property
    def names(self) -> set[str]:
        return set(self.node.get("properties", ()))

    @property
    def required(self) -> set[str]:
        return set(self.node.get("required", ()))

    @property
    def types(self) -> set[str]:
        kind = self.node.get("type", [])
        return {kind} if isinstance(kind, str) else set(kind)

    @property
    def items(self) -> _Schema | None:
        return _Schema(self.document, self.node["items"]) if "items" in self.node else None


def _in(document: Json, node: Json) -> _Schema:
    return _Schema(document, node)


def _narrowed(where: str, old: _Schema, new: _Schema, depth: int = 0) -> Iterator[str]:
    """Yield what a request schema refuses now and took before."""
    if depth > 20:
        return
    for name in sorted(old.names - new.names):
        yield f"{where}: member {name} removed"
    for name in sorted(new.required - old.required):
        yield f"{where}: member {name} became required"
    if lost := old.types - new.types:
        yield f"{where}: does not take {', '.join(sorted(lost))} any more"
    if "enum" in new.node:
        codes, taken = (set(map(str, one.node.get("enum", ()))) for one in (old, new))
        if not codes and "const" not in old.node:
            yield f"{where}: takes only some values now"
        elif codes - taken:
            yield f"{where}: does not take {', '.join(sorted(codes - taken))} any more"
    for name in sorted(old.names & new.names):
        yield from _narrowed(f"{where}/{name}", old.member(name), new.member(name), depth + 1)
    if old.items is not None and new.items is not None:
        yield from _narrowed(f"{where}/*", old.items, new.items, depth + 1)


def _impoverished(where: str, old: _Schema, new: _Schema, depth: int = 0) -> Iterator[str]:
    """Yield what a response schema no longer promises."""
    if depth > 20:
        return
    for name in sorted(old.required - new.required):
        yield f"{where}: member {name} is not always present any more"
    if old.types and (more := new.types - old.types):
        yield f"{where}: may be {', '.join(sorted(more))} now"
    for name in sorted(old.names & new.names):
        yield from _impoverished(f"{where}/{name}", old.member(name), new.member(name), depth + 1)
    if old.items is not None and new.items is not None:
        yield from _impoverished(f"{where}/*", old.items, new.items, depth + 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m docs.compatibility")
    parser.add_argument("--publish", metavar="VERSION", help="freeze the contracts as this version")
    options = parser.parse_args(arguments)
    if options.publish is not None:
        if _VERSION.fullmatch(options.publish) is None or (PUBLISHED / options.publish).exists():
            sys.stderr.write("the version must be new, and of the form 1.2.3\n")
            return 2
        sys.stdout.write(f"published: {publish(options.publish)}\n")
        return 0
    last = last_published()
    if last is None:
        sys.stdout.write("no version of the contracts has been published yet\n")
        return 0
    old = json.loads((last / "openapi.json").read_bytes())
    broken = list(broken_requests_and_answers(old, openapi.document()))
    sys.stderr.writelines(f"not compatible with {last.name}: {line}\n" for line in broken)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
