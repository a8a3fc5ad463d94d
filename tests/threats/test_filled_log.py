"""A party repeats what is an entry of the log, to fill the log and the history of its referral."""

from __future__ import annotations

from collections import Counter

from tests.journey.running_hub import RunningHub

REFERRAL = "wage-claim-osh-moscow"
REPETITIONS = 40


def test_acceptor_that_reads_its_referral_again_and_again_adds_few_entries(
    hub: RunningHub,
) -> None:
    sender, acceptor, referral_id = hub.accepted(REFERRAL)
    for _ in range(REPETITIONS):
        acceptor.hub.case(referral_id)
        acceptor.hub.story(referral_id)
        acceptor.hub.readers(referral_id)
    acceptor.hub.complete(referral_id, "resolved")
    sender.await_message("referral.completed", referral_id)
    entries = Counter(entry["type"] for entry in hub.history(referral_id, last="referral.completed"))
    assert entries["kopuro.case.fetched.v1"] == 1
    # Two questions; a read is recorded again once its answer has further steps.
    assert 2 <= entries["kopuro.history.read.v1"] <= 6
