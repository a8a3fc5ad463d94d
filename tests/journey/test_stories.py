"""The demo's five stories on both databases."""

from __future__ import annotations

import pytest

from sandbox.demo.stories import STORIES
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

# Facts about the progress of a referral. Its history also contains facts about deliveries and reads.
SECOND_CANDIDATE = [
    "referral.submitted",
    "offer.opened",
    "answer.submitted",
    "offer.declined",
    "offer.opened",
    "answer.submitted",
    "offer.accepted",
    "case.released",
    "progress.submitted",
    "referral.progressed",
    "outcome.submitted",
    "referral.completed",
    "case.erased",
]


@pytest.mark.parametrize("story", STORIES)
def test_story_completes(hub: RunningHub, story: str) -> None:
    referral_id = STORIES[story](hub.demo)

    referral = hub.participants.staff("coordinator").referral(referral_id)
    assert (referral["status"], referral["outcome"]) == ("completed", "resolved")
    assert [offer["state"] for offer in referral["offers"]].count("accepted") == 1
    assert {offer["state"] for offer in referral["offers"]}.isdisjoint({"open"})


def test_history_of_referral_is_complete_and_ordered(hub: RunningHub) -> None:
    referral_id = STORIES["second-candidate"](hub.demo)

    entries = hub.history(referral_id, last="case.erased")

    told = [entry["type"].removeprefix("kopuro.").removesuffix(".v1") for entry in entries]
    beside = ("delivery.", "history.", "referral.read", "case.fetched")
    assert [fact for fact in told if not fact.startswith(beside)] == SECOND_CANDIDATE
    # Each candidate was handed its offer, and the acceptor its case.
    assert told.count("delivery.delivered") >= 3
    indices = [entry["index"] for entry in entries]
    assert indices == sorted(set(indices))
    assert {entry["referral_id"] for entry in entries} == {referral_id}
    assert len({entry["message_id"] for entry in entries}) == len(entries)


def test_checkpoint_grows_with_every_referral(hub: RunningHub) -> None:
    auditor = hub.participants.staff("auditor")
    before = auditor.checkpoint().splitlines()

    _, referral_id = hub.submit("nobody")
    recorded = hub.history(referral_id, last="referral.unplaced")

    def covering() -> list[str] | None:
        note = auditor.checkpoint().splitlines()
        return note if int(note[1]) > recorded[-1]["index"] else None

    # An entry is under a published checkpoint a moment after it can be read.
    after = until(covering, "a checkpoint over the referral", within=10)
    assert after[0] == before[0]
    assert int(after[1]) >= int(before[1]) + len(recorded)
    assert after[2] != before[2]
    assert after[4].startswith(f"— {after[0]} ")
