"""The promises of a threat model and their proofs, as docs/security.md writes them.

A promise is a list item or a table row that begins with its id, such as **P7**, and ends with links to the
tests that prove it: `[test_name](../tests/path/test_file.py)`. In the section "What is promised" every list
item and table row is a promise.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROMISED = "What is promised"

_ID = re.compile(r"\*\*(P\d+)\*\*")
_MENTION = re.compile(r"\bP\d+\b")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_RULE = re.compile(r"^\|[\s|:-]+\|$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """id: None for an item of the section "What is promised" without one."""

    id: str | None
    text: str

    @property
    def proofs(self) -> list[tuple[str, str]]:
        """The names and the targets of the links to tests."""
        return [(name, target) for name, target in _LINK.findall(self.text) if _is_test(name, target)]

    @property
    def ends_with_proof(self) -> bool:
        """Whether nothing follows the last proof but punctuation."""
        last = list(_LINK.finditer(self.text))[-1:]
        return bool(last) and _is_test(*last[0].groups()) and not self.text[last[0].end() :].strip(" .|")


def promises(page: str) -> list[Promise]:
    """Return the promises of the page, in their order."""
    found = []
    for section, item in _items(page):
        text = item.lstrip("-| ")
        named = _ID.match(text)
        if named or section == PROMISED:
            found.append(Promise(id=named[1] if named else None, text=text))
    return found


def faults(page: str, directory: Path) -> list[str]:
    """Return what is wrong with the page's promises. directory: that the page's links start from."""
    made = promises(page)
    found = [] if made else ["the page has no promise"]
    ids = [promise.id for promise in made if promise.id]
    found += [f"{id_} is used twice" for id_ in sorted({id_ for id_ in ids if ids.count(id_) > 1})]
    found += [f"{id_} is not a promise" for id_ in sorted(set(_MENTION.findall(page)) - set(ids))]
    for promise in made:
        name = promise.id or promise.text[:60]
        if promise.id is None:
            found.append(f"{name}: no id")
        if not promise.proofs:
            found.append(f"{name}: no proof")
        elif not promise.ends_with_proof:
            found.append(f"{name}: does not end with its proof")
        for test, target in promise.proofs:
            if test not in collected_in((directory / target).resolve()):
                found.append(f"{name}: {target} has no {test}")
    return found


def cited_files(page: str, directory: Path) -> set[Path]:
    """Return the files in which the promises have their proofs."""
    return {(directory / target).resolve() for promise in promises(page) for _, target in promise.proofs}


@cache
def collected_in(file: Path) -> frozenset[str]:
    """Return the names of the tests that pytest collects from the file; none if it does not exist."""
    if not re.fullmatch(r"test_\w+\.py", file.name) or not file.exists():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test")]
    return frozenset(
        node.name
        for body in (tree.body, *(one.body for one in classes))
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def _is_test(name: str, target: str) -> bool:
    return name.startswith("test_") and target.endswith(".py")


def _items(page: str) -> Iterator[tuple[str, str]]:
    """Yield the list items and the rows of tables, each with the title of its section."""
    section, item, in_fence = "", "", False
    lines = page.splitlines()
    for number, line in enumerate([*lines, ""]):
        if line.startswith("```"):
            in_fence = not in_fence
        continues = bool(item) and line.startswith("  ") and not line.lstrip().startswith("- ")
        if continues:
            item += " " + line.strip()
            continue
        if item:
            yield section, item
            item = ""
        if in_fence:
            continue
        if line.startswith("## "):
            section = line.removeprefix("## ").strip()
        elif line.lstrip().startswith("- "):
            item = line.strip()
        elif line.startswith("|") and not _RULE.match(line):
            is_head = number + 1 < len(lines) and _RULE.match(lines[number + 1])
            if not is_head:
                yield section, line.strip()
