"""Notes of declines, and the decisions on their answers, in the vault's database."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from contracts.envelope import Event, decode
from contracts.facts import Fact
from runtime.storage.sql_statement import SqlStatement

_HELD = SqlStatement("SELECT submission_id, body FROM held_notes WHERE referral_id = ANY (?)")
_HOLD = SqlStatement("INSERT INTO held_notes (submission_id, referral_id, body) VALUES (?, ?, ?)")
_DROP = SqlStatement("DELETE FROM held_notes WHERE submission_id = ANY (?)")
_ANSWERED = SqlStatement("SELECT submission_id, took_effect FROM answers WHERE referral_id = ANY (?)")
_RECORD = SqlStatement(
    "INSERT INTO answers (submission_id, referral_id, took_effect) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
_FORGET = SqlStatement("DELETE FROM answers WHERE referral_id = ANY (?)")


class SqlDeclineNotes:
    """See `ports.DeclineNotes`."""

    def held(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, Event[Fact]]:
        """See `ports.DeclineNotes`."""
        if not referral_ids:
            return {}
        return {row[0]: decode(bytes(row[1])) for row in _HELD.run(transaction, sorted(referral_ids))}

    def answers(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, bool]:
        """See `ports.DeclineNotes`."""
        if not referral_ids:
            return {}
        return {row[0]: bool(row[1]) for row in _ANSWERED.run(transaction, sorted(referral_ids))}

    def hold(self, transaction: Connection, notes: Mapping[str, Event[Fact]]) -> None:
        """See `ports.DeclineNotes`."""
        rows = [(submission, note.partition_key, note.encode()) for submission, note in notes.items()]
        _HOLD.run_for_each(transaction, rows)

    def drop(self, transaction: Connection, submission_ids: Collection[str]) -> None:
        """See `ports.DeclineNotes`."""
        if submission_ids:
            _DROP.run(transaction, sorted(submission_ids))

    def record_answers(self, transaction: Connection, answers: Mapping[str, tuple[str, bool]]) -> None:
        """See `ports.DeclineNotes`."""
        _RECORD.run_for_each(transaction, [(id_, *answer) for id_, answer in answers.items()])

    def forget_answers(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """See `ports.DeclineNotes`."""
        if referral_ids:
            _FORGET.run(transaction, sorted(referral_ids))
