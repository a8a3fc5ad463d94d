"""The broker blocks its publishers: intake admits until its outbox is full, reports it, and loses nothing."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

from contracts.facts import ReferralSubmitted
from sandbox.broker import PrivateBroker
from tests.crash.crashing import Listener, until
from tests.faults.alarms import ALARMS, alarmed
from tests.faults.intake_harness import IntakeHarness, unavailable
from tests.faults.short_timeouts import OUTBOX_BOUND

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.mark.parametrize("alarm", list(ALARMS))
def test_intake_with_blocked_broker_admits_up_to_its_bound_without_loss(
    own_broker: PrivateBroker, tmp_path: Path, alarm: str
) -> None:
    uri = own_broker.add_vhost(f"alarm-{secrets.token_hex(4)}")
    harness, listener = IntakeHarness(uri, tmp_path), Listener(uri, tmp_path)
    with harness.intake:
        harness.intake.until_ready()
        with alarmed(own_broker, alarm):
            admitted = []
            deadline = time.monotonic() + 30
            while not unavailable(answer := harness.submit()):
                assert answer.status_code == 202, answer.text
                admitted.append(answer.json()["id"])
                assert time.monotonic() < deadline, "the bound is never reached"
                time.sleep(0.02)  # the outbox is counted once a second: gently, to see where it stops
            assert 2 * len(admitted) > OUTBOX_BOUND
            assert listener.effects(ReferralSubmitted) == []
        until(lambda: len(listener.effects(ReferralSubmitted)) >= len(admitted), "all of them leave")
        assert sorted(fact.referral_id for fact in listener.effects(ReferralSubmitted)) == sorted(admitted)
        until(lambda: harness.submit().status_code == 202, "it admits again")
    listener.close()
