"""Preconditions, and JSON merge patches by the examples of RFC 7396, appendix A."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import Refused
from services.directory.domain.precondition import (
    ABSENT,
    ANY_REVISION,
    Precondition,
    at_revision,
    check_precondition,
    merge_patch,
)


@pytest.mark.parametrize(
    ("revision", "precondition"),
    [
        (None, None),
        (None, ABSENT),
        (3, ANY_REVISION),
        (3, at_revision(3)),
        (3, Precondition(revisions=frozenset({2, 3}))),
    ],
)
def test_precondition_that_holds_passes(revision: int | None, precondition: Precondition | None) -> None:
    check_precondition(revision, precondition)


@pytest.mark.parametrize(
    ("revision", "precondition", "slug", "status"),
    [
        (3, None, "precondition-required", 428),
        (3, ABSENT, "precondition-failed", 412),
        (3, at_revision(2), "precondition-failed", 412),
        (3, at_revision(4), "precondition-failed", 412),
        (3, Precondition(revisions=frozenset()), "precondition-failed", 412),
        (None, ANY_REVISION, "precondition-failed", 412),
        (None, at_revision(1), "precondition-failed", 412),
    ],
)
def test_precondition_that_is_missing_or_stale_is_refused(
    revision: int | None, precondition: Precondition | None, slug: str, status: int
) -> None:
    with pytest.raises(Refused) as refusal:
        check_precondition(revision, precondition)
    assert (refusal.value.slug, refusal.value.status) == (slug, status)


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_rfc_7396(target: Any, patch: Any, merged: Any) -> None:
    before = repr((target, patch))
    assert merge_patch(target, patch) == merged
    assert repr((target, patch)) == before
