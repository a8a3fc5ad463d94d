"""The facts by which routing refuses submissions."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import Defect, Refused
from contracts.facts import NoteSubmitted, ReferralSubmitted, ReplacementSubmitted
from services.routing.domain.refusals import refusal_of
from tests.golden_messages.examples import EXAMPLES, SUBMISSION

# A referral is answered by its decision, a note by its delivery; the vault refuses a replacement.
ANSWERED_OTHERWISE = {ReferralSubmitted, NoteSubmitted, ReplacementSubmitted}
SUBMISSIONS = [
    event.data
    for event in EXAMPLES.values()
    if type(event.data).__name__.endswith("Submitted")
    and not type(event.data).__name__.startswith(("Sealed", "Application"))
    and type(event.data) not in ANSWERED_OTHERWISE
]


@pytest.mark.parametrize("submission", SUBMISSIONS, ids=lambda fact: fact.type)
def test_refusal_names_the_submission_its_author_and_the_reason(submission: Any) -> None:
    refused = Refused("not-in-this-state", "The referral is closed.")
    refusal: Any = refusal_of(submission, SUBMISSION, refused)
    assert refusal.submission_id == SUBMISSION
    assert refusal.organization == submission.organization
    assert refusal.referral_id == submission.referral_id
    assert refusal.problem == refused.problem()
    for name in ("offer_id", "coordinator", "act"):
        assert getattr(refusal, name, None) == (getattr(submission, name) if hasattr(refusal, name) else None)


def test_fact_without_a_refusal_is_a_defect() -> None:
    with pytest.raises(Defect, match=r"cannot refuse"):
        refusal_of(EXAMPLES[ReferralSubmitted.type].data, SUBMISSION, Refused("forbidden", "No."))
