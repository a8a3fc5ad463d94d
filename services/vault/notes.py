"""Sealed notes between the parties to a referral, and notes of declines and hand-backs, which wait
for their decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from contracts.envelope import Event
from contracts.errors import Refused, Unavailable
from contracts.facts import Fact, SealedNoteReleased, SealedNoteSubmitted
from contracts.paused_key import paused_key
from services.vault.batch import PATIENCE, BatchProgress, submission_of
from services.vault.domain.custody import closed, is_closed, other_party, require_open

# Returns until when nothing may be sealed to an organisation, None if something may.
PausedUntil = Callable[[str, dt.datetime], dt.datetime | None]

# Intake has admitted this one: it answers a repetition under the same key as before, and nothing happens.
_PAUSED: Final = (
    "The receiver's sealing key was replaced without proof of the earlier key; no note goes to it yet."
    " Send the note again after {until}, with another Idempotency-Key."
)
_PAUSED_EXPLANATION: Final = (
    "Your decline or hand-back has taken effect, without its note: the sender's sealing key was replaced"
    " without proof of the earlier key, and no note goes to it before {until}."
)


def receive_note(
    batch: BatchProgress, message: Event[Fact], fact: SealedNoteSubmitted, paused_until: PausedUntil
) -> None:
    """Forward a note to the other party. Refuse it while releases to that party's key are paused: a note is
    sealed to the key that the directory shows, like a case. Raises Unavailable while that party may not be
    known yet.
    """
    try:
        custody = batch.custodies[fact.referral_id]
        receiver = other_party(custody, fact.author)
        if receiver is None:
            if batch.now - message.time < PATIENCE:
                raise Unavailable("The case or its acceptance may not have reached the vault yet.")
            raise Refused("not-in-this-state", "No organisation has accepted the referral.")
        if (until := paused_until(receiver, batch.now)) is not None:
            raise paused_key(_PAUSED, until=until, now=batch.now)
    except Refused as refused:
        batch.refuse_submission(message, fact.referral_id, fact.author, refused)
    else:
        _forward(batch, message, fact, receiver)


def receive_explanation(
    batch: BatchProgress, message: Event[Fact], fact: SealedNoteSubmitted, paused_until: PausedUntil
) -> None:
    """Forward the note of a decline or a hand-back if that took effect, drop it if that was refused.

    Holds the note until the decision is known. Refuses it while releases to the sender's key are paused.
    """
    custody = batch.custodies[fact.referral_id]
    submission = submission_of(message)
    try:
        require_open(custody)
    except Refused as refused:
        batch.refuse_submission(message, fact.referral_id, fact.author, refused)
        return
    took_effect = batch.answers.get(submission)
    if took_effect is None:
        batch.new_notes[submission] = message
    elif took_effect:
        assert custody.sender is not None  # recorded with the decision
        _explain(batch, message, fact, custody.sender, paused_until)


def answered(
    batch: BatchProgress,
    submission: str | None,
    referral_id: str,
    paused_until: PausedUntil,
    *,
    sender: str | None,
) -> None:
    """Record the decision on an answer or a hand-back; forward, refuse or drop its note.

    sender: None if it was refused.
    """
    custody = batch.custodies[referral_id]
    if sender is not None and custody.sender is None:
        batch.custodies[referral_id] = replace(custody, sender=sender)
    if submission is None:
        return
    # A closed referral needs no record: its notes are refused whatever the decision.
    if not is_closed(custody):
        batch.new_answers[submission] = (referral_id, sender is not None)
    note = batch.held.pop(submission, None)
    if note is None:
        return
    batch.dropped_notes.add(submission)
    if sender is not None:
        assert isinstance(note.data, SealedNoteSubmitted)
        _explain(batch, note, note.data, sender, paused_until)


def _explain(
    batch: BatchProgress,
    message: Event[Fact],
    fact: SealedNoteSubmitted,
    sender: str,
    paused_until: PausedUntil,
) -> None:
    """Forward the note of a decline or a hand-back, unless releases to the sender's key are paused."""
    if (until := paused_until(sender, batch.now)) is None:
        _forward(batch, message, fact, sender)
        return
    refused = paused_key(_PAUSED_EXPLANATION, until=until, now=batch.now)
    batch.refuse_submission(message, fact.referral_id, fact.author, refused)


def _forward(batch: BatchProgress, message: Event[Fact], fact: SealedNoteSubmitted, receiver: str) -> None:
    acceptance = batch.custodies[fact.referral_id].acceptance
    if acceptance is not None and acceptance.organization != receiver:
        acceptance = None  # the note is for the sender
    forwarded = SealedNoteReleased(
        referral_id=fact.referral_id,
        organization=receiver,
        author=fact.author,
        note=fact.note,
        offer_id=fact.offer_id,
        acceptance=None if acceptance is None else acceptance.offer_id,
    )
    batch.publish(forwarded, fact.referral_id, cause=message)


def refuse_held(batch: BatchProgress, referral_id: str) -> None:
    """Refuse the notes that wait for a decision on a referral that has closed."""
    for submission, note in list(batch.held.items()):
        if note.partition_key == referral_id:
            del batch.held[submission]
            batch.dropped_notes.add(submission)
            assert isinstance(note.data, SealedNoteSubmitted)
            batch.refuse_submission(note, referral_id, note.data.author, closed())
