"""The reason of an erasure comes from an entry that can be relied on."""

from __future__ import annotations

import datetime as dt

import pytest

from services.audit.log.domain.retention import erasure_reason

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize("type_", ["kopuro.case.erased.v1", "kopuro.referral.withdrawn.v1"])
def test_missing_content_of_closing_permits_nothing_since_reasons_are_recorded(type_: str) -> None:
    assert erasure_reason(type_, "r", NOON, None, None) is None
    assert erasure_reason(type_, "r", NOON, None, None, earlier=True) == "consent_revoked"
    assert erasure_reason(type_, "r", NOON, {"reason": "consent_revoked"}, None) == "consent_revoked"


def test_recorded_reason_of_earlier_erasure_permits_later_ones() -> None:
    erased = {"reason": "retention"}
    assert erasure_reason("kopuro.content.erased.v1", "r", NOON, erased, None) == "retention"
