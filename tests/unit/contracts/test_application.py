"""The bounds of what an applicant may send."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.application import (
    LONGEST_APPLICATION,
    ApplicationRejection,
    ApplicationRequest,
    ApplicationVetting,
)
from contracts.canonical import canonical_json
from contracts.errors import Refused
from contracts.records import load
from tests.unit.services.directory.application_samples import application_record


def faults(record: dict[str, Any], kind: type = ApplicationRequest) -> list[str]:
    try:
        load(kind, record)
    except Refused as refusal:
        return [error.pointer for error in refusal.errors]
    return []


def test_application_is_accepted() -> None:
    assert faults(application_record()) == []
    smallest = application_record(contact={"name": "А", "telephone": "+996312000000"})
    for member in ("website", "proposed_id"):
        del smallest[member]
    assert faults(smallest) == []


@pytest.mark.parametrize(
    ("member", "value", "pointer"),
    [
        ("name", "x", "/name"),
        ("name", "x" * 201, "/name"),
        ("name", "   ", "/name"),
        ("name", "A\nB", "/name"),
        ("name", "A\x1b[2J", "/name"),
        ("name", "A\u202ebank", "/name"),
        ("name", "A\u200bB", "/name"),
        ("name", ["x"], "/name"),
        ("kind", "club", "/kind"),
        ("country", "kg", "/country"),
        ("languages", [], "/languages"),
        ("languages", ["ky", "ky"], "/languages"),
        ("languages", ["xx"], "/languages/0"),
        ("description", "", "/description"),
        ("description", "x" * 2001, "/description"),
        ("description", "a\tb", "/description"),
        ("website", "javascript:alert(1)", "/website"),
        ("website", "https://exa mple.org", "/website"),
        ("website", "https://user@example.org", "/website"),
        ("parent", "KG.x", "/parent"),
        ("proposed_id", "kg.a b", "/proposed_id"),
        ("reference_sha256", "A" * 64, "/reference_sha256"),
        ("vetting", "vetted", "/vetting"),
        ("sealing_key", None, "/sealing_key"),
    ],
)
def test_member_outside_its_bounds_is_refused(member: str, value: Any, pointer: str) -> None:
    assert faults(application_record(**{member: value})) == [pointer]


@pytest.mark.parametrize(
    ("contact", "pointer"),
    [
        ({"name": "A"}, "/contact/email"),
        ({"email": "a@b.example"}, "/contact/name"),
        ({"name": "A\x00", "email": "a@b.example"}, "/contact/name"),
        ({"name": "A", "email": "=cmd()@b.example"}, "/contact/email"),
        ({"name": "A", "email": "a@b"}, "/contact/email"),
        ({"name": "A", "email": "a@b.example\nBcc: c@d.example"}, "/contact/email"),
        ({"name": "A", "email": "a@" + 100 * "b." + "example"}, "/contact/email"),
        ({"name": "A", "telephone": "0312 000000"}, "/contact/telephone"),
        ({"name": "A", "telephone": "+1"}, "/contact/telephone"),
        ({"name": "A", "telephone": "+996312000000", "address": "x"}, "/contact/address"),
    ],
)
def test_contact_outside_its_bounds_is_refused(contact: dict[str, str], pointer: str) -> None:
    assert faults(application_record(contact=contact)) == [pointer]


def test_longest_application_fits_into_its_body_whatever_its_characters() -> None:
    longest = application_record(
        name="\U0001d11e" * 200,
        description="\U0001d11e" * 2000,
        contact={"name": "\U0001d11e" * 100, "email": "a" * 64 + "@" + "b" * 131 + ".org"},
        website="https://example.org/" + "x" * 180,
        parent="kg." + "a" * 97,
        proposed_id="kg." + "a" * 97,
        reference_sha256="a" * 64,
    )
    assert faults(longest) == []
    # JSON may escape each of these as two units of six bytes; a form as twelve.
    assert len(canonical_json(longest)) + 3 * 4 * 2300 < LONGEST_APPLICATION


def test_decisions_are_bounded() -> None:
    assert faults({}, ApplicationVetting) == []
    assert faults({"parent": "kg.a", "without_parent": True}, ApplicationVetting) == ["/parent"]
    assert faults({"reason": "other", "note": "Call us.\nSoon."}, ApplicationRejection) == []
    assert faults({"reason": "unpleasant"}, ApplicationRejection) == ["/reason"]
    assert faults({"reason": "other", "note": "x" * 1001}, ApplicationRejection) == ["/note"]
    assert faults({"reason": "other", "note": "\x1b]0;"}, ApplicationRejection) == ["/note"]
