from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import (
    PROBLEMS,
    Defect,
    KopuroError,
    PointerError,
    Refused,
    Unavailable,
    pointer,
    problem,
)

ROOT = Path(__file__).parents[3]
SOURCES = ("contracts", "runtime", "services", "sandbox")


def test_problem_has_the_members_of_rfc_9457() -> None:
    assert problem("offer-closed", "The offer has expired.") == {
        "type": "urn:kopuro:problem:offer-closed",
        "title": "The offer is no longer open",
        "status": 409,
        "detail": "The offer has expired.",
    }


def test_pointer_is_escaped_per_rfc_6901() -> None:
    assert pointer(()) == ""
    assert pointer(("consent", "given")) == "/consent/given"
    assert pointer(("needs", 0, "a/b~c")) == "/needs/0/a~1b~0c"


def test_pointer_to_a_very_long_name_stays_short() -> None:
    """The name of an unknown member is caller input."""
    assert pointer(("x" * 10_000,)) == "/" + "x" * 64


def test_problem_lists_errors_with_pointers() -> None:
    errors = (PointerError(pointer="/needs/0", detail="Not a code."), PointerError(pointer="", detail="No."))
    refused = Refused("invalid-submission", "Correct /needs/0.", errors=errors)
    assert refused.problem() == {
        "type": "urn:kopuro:problem:invalid-submission",
        "title": "The submission does not follow the contract",
        "status": 422,
        "detail": "Correct /needs/0.",
        "errors": [{"pointer": "/needs/0", "detail": "Not a code."}, {"pointer": "", "detail": "No."}],
    }


def test_explicit_status_overrides_the_default() -> None:
    assert Refused("malformed-json", "Too slow.", status=408).problem()["status"] == 408
    assert Refused("malformed-json", "Broken.").problem()["status"] == 400


def test_unavailable_has_retry_after() -> None:
    unavailable = Unavailable("The broker does not answer.", retry_after=7)
    assert unavailable.retry_after == 7
    assert unavailable.problem()["status"] == 503
    assert unavailable.problem()["type"] == "urn:kopuro:problem:unavailable"


def test_error_classes_do_not_overlap() -> None:
    families = (Refused, Unavailable, Defect)
    for family in families:
        assert issubclass(family, KopuroError)
        assert not any(issubclass(family, other) for other in families if other is not family)
    assert str(Defect("The log's tree is broken.")) == "The log's tree is broken."


def test_unpublished_slug_raises_key_error() -> None:
    with pytest.raises(KeyError):
        Refused("no-such-slug", "x")


@pytest.mark.parametrize("slug", sorted(PROBLEMS))
def test_every_problem_has_slug_title_and_error_status(slug: str) -> None:
    title, status = PROBLEMS[slug]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)
    assert title
    assert not title.endswith(".")
    assert 400 <= status < 600


# Every notation of a slug has one of these.
NOTATIONS = ("Refused(", "problem(", "slug")


def slugs(tree: ast.AST) -> Iterator[str]:
    """Return the slugs in a module: `Refused("…")`, `problem("…")`, `slug="…"`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            named = [k.value for k in node.keywords if k.arg == "slug"]
            for value in (node.args[:1] if name in ("Refused", "problem") else []) + named:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value
        elif isinstance(node, ast.arguments):
            defaults = dict(zip(reversed(node.args), reversed(node.defaults), strict=False))
            defaults |= {a: d for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True) if d}
            for argument, default in defaults.items():
                if argument.arg == "slug" and isinstance(default, ast.Constant):
                    yield str(default.value)


def test_slug_scan_finds_every_notation() -> None:
    source = 'def f(*, slug="a"): ...\nRefused("b", "x")\nerrors.problem("c", "x")\nload(X, {}, slug="d")'
    assert sorted(slugs(ast.parse(source))) == ["a", "b", "c", "d"]


def test_every_slug_in_the_code_is_published() -> None:
    unknown = [
        f"{path.relative_to(ROOT)}: {slug}"
        for folder in SOURCES
        for path in sorted((ROOT / folder).rglob("*.py"))
        if any(notation in (source := path.read_text(encoding="utf-8")) for notation in NOTATIONS)
        for slug in slugs(ast.parse(source))
        if slug not in PROBLEMS
    ]
    assert unknown == []
