"""Preconditions as request headers: a malformed one is refused with its form, not as a stale revision."""

from __future__ import annotations

import pytest

from contracts.errors import PointerError, Refused
from runtime.web.request import Request
from services.directory.domain.precondition import ANY_REVISION, Precondition, at_revision
from services.directory.preconditions import conditional, precondition_of


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


def put(revision: str, **headers: str) -> Request:
    body = b'{"name": "Osh", "revision": %s}' % revision.encode()
    return Request(method="PUT", route="/", headers=headers, body=body)


@pytest.mark.parametrize("if_match", [None, "*", '"3"', '"2", "3"'])
def test_revision_of_the_record_is_its_precondition(if_match: str | None) -> None:
    request = put("3") if if_match is None else put("3", **{"if-match": if_match})
    assert conditional(request) == ({"name": "Osh"}, at_revision(3))


@pytest.mark.parametrize(
    ("revision", "if_match"), [("true", '"1"'), ("-1", "*"), ("3.0", '"3"'), ("null", '"3"'), ("9" * 16, "*")]
)
def test_revision_that_is_no_revision_number_is_refused(revision: str, if_match: str) -> None:
    with pytest.raises(Refused) as refusal:
        conditional(put(revision, **{"if-match": if_match}))
    assert refusal.value.errors == (
        PointerError(pointer="/revision", detail="Must be a revision number, as in the record."),
    )


@pytest.mark.parametrize("if_match", ['"2"', '"unknown"', '"2", "4"'])
def test_revision_that_if_match_does_not_name_is_refused_with_both_places(if_match: str) -> None:
    with pytest.raises(Refused, match="The record's `revision` and `If-Match` name different") as refusal:
        conditional(put("3", **{"if-match": if_match}))
    assert refusal.value.slug == "invalid-submission"
    (error,) = refusal.value.errors
    assert error.pointer == "/revision"
    assert "`If-Match`" in error.detail


def test_revision_of_a_record_that_must_be_new_is_refused_with_both_places() -> None:
    with pytest.raises(Refused, match="has a revision, but `If-None-Match` says that it is new") as refusal:
        conditional(put("3", **{"if-none-match": "*"}))
    assert [error.pointer for error in refusal.value.errors] == ["/revision"]
