"""Where the ids of referrals come from."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from runtime.identifiers import new_id, new_unguessable_id
from services.intake.api import ApiContext
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import NOON, caller, submission


def test_ids_of_referrals_are_those_that_follow_from_no_other_id() -> None:
    clock: Any = SimpleNamespace(now=lambda: NOON)
    request: Any = SimpleNamespace(principal=SimpleNamespace(id="kg.osh", excluded=False))
    handlers: Any = None
    caller = ApiContext(handlers, "/kg/intake", clock).caller(request)
    assert (caller.new_id, caller.new_referral_id) == (new_id, new_unguessable_id)


def test_referral_gets_the_id_that_its_caller_makes_for_referrals(bench: IntakeBench) -> None:
    wanted = new_unguessable_id()
    sender = replace(caller(), new_referral_id=lambda: wanted)
    assert bench.handlers.submit_referral(sender, submission(), None) == wanted
