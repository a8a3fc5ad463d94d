"""The statements of every batch and of every turn of the timer. What is asked seldom is in `store.py`."""

from __future__ import annotations

from runtime.storage.statement import Statement

_VIEWED = (
    "SELECT id, sender, status, acceptor, outcome, facts, correlation_id, submitted_at, updated_at, due_at"
    " FROM referrals WHERE id = ANY (?) ORDER BY id"
)
VIEW = Statement(_VIEWED)
LOAD = Statement(_VIEWED, postgresql="FOR UPDATE")
OFFERS_OF = Statement(
    "SELECT id, referral_id, organization, service, rank, state, opened_at, deadline, closed_at, reason,"
    " placed_by FROM offers WHERE referral_id = ANY (?) ORDER BY id"
)
NEW_REFERRAL = Statement(
    "INSERT INTO referrals (id, sender, facts, correlation_id, submitted_at,"
    " status, acceptor, outcome, updated_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
CHANGED_REFERRAL = Statement(
    "UPDATE referrals SET status = ?, acceptor = ?, outcome = ?, updated_at = ?, due_at = ? WHERE id = ?"
)
NEW_OFFER = Statement(
    "INSERT INTO offers (id, referral_id, organization, service, rank, state,"
    " opened_at, deadline, closed_at, reason, placed_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
CLOSE_OFFERS = Statement(
    "UPDATE offers SET state = ?, closed_at = ?, reason = ? WHERE id = ANY (?) AND state = ?"
)
NEW_DECISION = Statement("INSERT INTO decisions (id, referral_id, decided_at, record) VALUES (?, ?, ?, ?)")
NEW_ENTRY = Statement(
    "INSERT INTO timeline (referral_id, time, fact, organization, detail) VALUES (?, ?, ?, ?, ?)"
)
OBSERVE = Statement(
    "INSERT INTO observations (organization, answered, expired, answer_seconds, held, asked)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (organization) DO UPDATE SET"
    " answered = observations.answered + excluded.answered,"
    " expired = observations.expired + excluded.expired,"
    " answer_seconds = observations.answer_seconds + excluded.answer_seconds,"
    " held = observations.held + excluded.held, asked = observations.asked + excluded.asked"
)
OBSERVED = Statement(
    "SELECT organization, answered, expired, answer_seconds, held, asked FROM observations"
    " WHERE organization = ANY (?)"
)
# The condition is that of the index `offers_open`.
OFFERED_TO = Statement(
    "SELECT DISTINCT referral_id FROM offers WHERE state = 'open' AND organization = ANY (?) LIMIT ?"
)
# The condition on the status is that of the index `referrals_held`.
HELD_BY = Statement(
    "SELECT id FROM referrals WHERE acceptor = ANY (?) AND status IN ('accepted', 'in_progress', 'on_hold')"
    " AND NOT EXISTS (SELECT 1 FROM suspended_acceptors AS noted"
    " WHERE noted.referral_id = referrals.id AND noted.organization = referrals.acceptor) LIMIT ?"
)
# The condition is that of the index `offers_deadline`.
DUE_OFFERS = Statement(
    "SELECT referral_id, id FROM offers WHERE state = 'open' AND deadline <= ? ORDER BY deadline LIMIT ?"
)
DUE_REFERRALS = Statement(
    "SELECT id FROM referrals WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?"
)
