"""A problem's detail adds to its title, and says what is wrong: the command shows the detail alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from contracts.errors import PROBLEMS

ROOT = Path(__file__).parents[3]


def _details(*, with_errors: bool = True) -> Iterator[tuple[str, str, str]]:
    """Return (place, slug, detail) for every literal detail of the server's code.

    with_errors: also of problems whose `errors` say what is wrong.
    """
    for package in ("contracts", "runtime", "services"):
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if "Refused(" not in source and "problem(" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if not isinstance(node, ast.Call) or len(node.args) < 2:
                    continue
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                slug, detail = node.args[:2]
                if name not in ("Refused", "problem") or not isinstance(slug, ast.Constant):
                    continue
                if not with_errors and any(keyword.arg == "errors" for keyword in node.keywords):
                    continue
                parts = detail.values if isinstance(detail, ast.JoinedStr) else [detail]
                text = "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
                if text:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", str(slug.value), text


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3 or word == "not"}


def test_details_do_not_repeat_their_titles() -> None:
    found = list(_details())
    assert len(found) > 90
    repeated = []
    for place, slug, detail in found:
        title = _words(PROBLEMS[slug][0])
        if len(title & _words(detail)) / len(title) >= 0.75 or detail.lower().startswith("not found"):
            repeated.append(f"{place}: {PROBLEMS[slug][0]} | {detail}")
    assert repeated == []


def test_details_say_what_is_wrong_and_not_only_what_to_do() -> None:
    orders = re.compile(
        r"(?:Send|Use|Repeat|Request|Correct|Choose|Read|Seal|Spell|Remove|Leave|Make|Get|Try) [^:]*$"
    )
    found = list(_details(with_errors=False))
    assert len(found) > 60
    assert [f"{place}: {detail}" for place, _, detail in found if orders.match(detail)] == []
