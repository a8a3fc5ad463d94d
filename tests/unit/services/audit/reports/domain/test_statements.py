"""Which statements a story has."""

from __future__ import annotations

from typing import Final

import pytest

from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    HandBackRefused,
    HandBackSubmitted,
    NoteSubmitted,
    ProgressSubmitted,
    SubmissionRefused,
)
from contracts.facts.fact import Fact
from services.audit.reports.domain.statements import LoggedStatement, not_told

ACCEPTOR: Final = "ru.moscow-legal-aid"
SUBMISSION: Final = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a57"


def left_out(statement: type[Fact], refusal: type[Fact]) -> bool:
    """Return whether a story leaves the statement out, with the refusal that names it."""
    entries = [
        LoggedStatement(index=0, type=statement.type, message_id=SUBMISSION, organization=ACCEPTOR, data={}),
        LoggedStatement(
            index=1,
            type=refusal.type,
            message_id="01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a58",
            organization=ACCEPTOR,
            data={"submission_id": SUBMISSION},
        ),
    ]
    found = not_told(entries)
    assert set(found) <= {0}
    return 0 in found


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        (AnswerSubmitted, AnswerRefused),
        (HandBackSubmitted, HandBackRefused),
        (NoteSubmitted, SubmissionRefused),
        (ProgressSubmitted, SubmissionRefused),
    ],
)
def test_story_has_the_refusal_of_a_statement_in_its_place(
    statement: type[Fact], refusal: type[Fact]
) -> None:
    assert left_out(statement, refusal)


@pytest.mark.parametrize("statement", [AnswerSubmitted, HandBackSubmitted])
def test_story_has_a_step_whose_note_alone_was_refused(statement: type[Fact]) -> None:
    assert not left_out(statement, SubmissionRefused)
