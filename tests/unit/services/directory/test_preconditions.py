"""Preconditions as request headers: a malformed one is refused with its form, not as a stale revision."""

from __future__ import annotations

import pytest

from contracts.errors import Refused
from runtime.web.request import Request
from services.directory.domain.precondition import ANY_REVISION, Precondition
from services.directory.preconditions import precondition_of


def read(if_match: str) -> Precondition | None:
    return precondition_of(Request(method="PATCH", route="/", headers={"if-match": if_match}))


@pytest.mark.parametrize(
    ("if_match", "revisions"),
    [
        ('"7"', {7}),
        ("7", {7}),
        ('"7", "8"', {7, 8}),
        ('"7",', {7}),
        ('"unknown"', set()),
        ('""', set()),
        ('W/"7", "8"', {8}),
        ('W/"7", "unknown"', set()),
    ],
)
def test_tags_name_revisions_and_unknown_ones_match_nothing(if_match: str, revisions: set[int]) -> None:
    assert read(if_match) == Precondition(revisions=frozenset(revisions))


def test_asterisk_matches_any_revision() -> None:
    assert read(" * ") == ANY_REVISION


@pytest.mark.parametrize("if_match", ["", ",", '"7', '7"', '"7"x', '"6" "7"', '*, "7"', "**", "abc", "-7"])
def test_malformed_condition_is_refused_with_its_form(if_match: str) -> None:
    with pytest.raises(Refused, match=r"`If-Match` must be `\*`, or the ETag of the record") as refusal:
        read(if_match)
    assert refusal.value.slug == "invalid-parameter"


@pytest.mark.parametrize("if_match", ['W/"7"', 'W/"7", W/"8"'])
def test_weak_tag_is_refused_with_advice_other_than_to_read_again(if_match: str) -> None:
    with pytest.raises(Refused, match='send `"7"`, not `W/"7"`') as refusal:
        read(if_match)
    assert refusal.value.slug == "precondition-failed"
