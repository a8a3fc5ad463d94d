"""Notices of secrets and keys that expire."""

from __future__ import annotations

import datetime as dt

import pytest

from contracts.facts import CredentialExpiring
from services.directory import admission
from services.directory.domain.client import digest
from tests.support.client_assertions import new_key
from tests.unit.services.directory.samples import DESK, NOON, OPERATOR, OSH, Directory, issue, organization

DAY = dt.timedelta(days=1)
END = NOON + 60 * DAY


@pytest.fixture
def filled(directory: Directory) -> Directory:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", "a" * 43, expires_at=END)
    return directory


def told_at(directory: Directory, left: dt.timedelta) -> list[CredentialExpiring]:
    """Run the notices when so much time is left; return what they announce."""
    before = len(directory.events())
    directory.clock.time = END - left
    directory.expiry.run()
    facts = [event.data for event in directory.events()[before:]]
    assert all(isinstance(fact, CredentialExpiring) for fact in facts)
    return facts  # type: ignore[return-value]


def test_end_of_a_secret_is_announced_at_30_7_and_1_days_once_each(filled: Directory) -> None:
    assert told_at(filled, 30 * DAY + dt.timedelta(seconds=1)) == []
    for left, days in ((30 * DAY, 30), (7 * DAY, 7), (1 * DAY, 1)):
        assert told_at(filled, left) == [
            CredentialExpiring(
                client_id="desk",
                principal=OSH,
                credential="secret",
                expires_at=END,
                days=days,
                organization=OSH,
            )
        ]
        assert told_at(filled, left - dt.timedelta(hours=1)) == []
    assert told_at(filled, dt.timedelta()) == []
    assert filled.expiring == {30: 0, 7: 0, 1: 0, 0: 1}


def test_missed_stages_are_not_announced_late(filled: Directory) -> None:
    assert [fact.days for fact in told_at(filled, dt.timedelta(hours=3))] == [1]
    assert told_at(filled, dt.timedelta(hours=2)) == []
    assert filled.expiring == {30: 1, 7: 1, 1: 1, 0: 0}


def test_rotated_secret_and_revoked_client_are_not_announced(filled: Directory) -> None:
    filled.own_credentials.rotate("desk", digest("b" * 43), by=DESK)
    assert told_at(filled, DAY) == []
    key = {**new_key().as_dict(private=False), "exp": int(END.timestamp())}
    filled.own_credentials.replace_keys("desk", admission.key_set({"keys": [key]}), by=DESK)
    assert [fact.credential for fact in told_at(filled, dt.timedelta(hours=20))] == ["k-1"]
    filled.credentials.revoke("desk", by=OSH, client="desk", operator=False)
    assert told_at(filled, dt.timedelta(hours=2)) == []
