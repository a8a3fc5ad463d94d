"""A policy that an operator applies to a running hub, and the decisions that the hub made."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from kopuro_client.commands import main
from tests.journey.conftest import POLICY
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

ANSWER = 7 * 86_400


def test_applied_policy_is_in_force_without_a_restart_and_decisions_are_equal_again(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = hub.databases["routing"]
    monkeypatch.setenv("KOPURO_DATABASE_URL", url)
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", "{service}".join(url.rsplit("routing", 1)))
    sender, before = hub.submit("wage-claim-osh-moscow", urgency="urgent")
    hub.next_offer(sender, before)
    first = sender.hub.referral(before)["offers"][0]["deadline"]
    changed = tmp_path / "changed.json"
    policy = {**POLICY, "version": "journey-2", "urgent": {"answer": ANSWER, "progress": 86_400}}
    changed.write_text(json.dumps(policy))
    try:
        assert main(["routing", "policy", "apply", str(changed), "--simulate", "5", "--yes"]) == 0
        version = until(lambda: _decided_by(hub, "journey-2"), "a decision by the new policy")
    finally:
        # The other journeys need the first policy.
        earlier = tmp_path / "earlier.json"
        earlier.write_text(json.dumps(POLICY))
        assert main(["routing", "policy", "apply", str(earlier)]) == 0
    assert dt.timedelta(seconds=ANSWER) == version
    # The open offer keeps its deadline.
    assert sender.hub.referral(before)["offers"][0]["deadline"] == first
    sender.hub.withdraw(before, "placed_elsewhere")
    until(lambda: _logged_policies(hub) >= 3, "the policies in the log")
    until(lambda: _decided_by(hub, "journey-1"), "a decision by the first policy")
    capsys.readouterr()
    assert main(["routing", "recompute", "--last", "1000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["equal"] == found["decisions"] >= 3
    assert found["mismatches"] == []
    # Other tests on this hub have referrals whose consent was withdrawn.
    assert set(found["skipped"].values()) <= {"erased after the referral had ended"}


def _decided_by(hub: RunningHub, version: str) -> dt.timedelta | None:
    """Return the time that a new offer leaves for the answer, if this policy decided; None otherwise."""
    sender, referral = hub.submit("wage-claim-osh-moscow", urgency="urgent")
    hub.next_offer(sender, referral)
    [decision] = sender.hub.decision(referral)["decisions"]
    [offer] = sender.hub.referral(referral)["offers"]
    sender.hub.withdraw(referral, "placed_elsewhere")
    if decision["policy_version"] != version:
        return None
    return dt.datetime.fromisoformat(offer["deadline"]) - dt.datetime.fromisoformat(offer["opened_at"])


def _logged_policies(hub: RunningHub) -> int:
    engine = create_engine(hub.databases["audit"])
    try:
        with engine.connect() as connection:
            wanted = "SELECT count(*) FROM entries WHERE type = 'kopuro.routing_policy.applied.v1'"
            return int(connection.execute(text(wanted)).scalar_one())
    finally:
        engine.dispose()
