"""SQL statements of the batches and the timer. Rare queries are in `store.py`."""

from __future__ import annotations

from runtime.storage.sql_statement import SqlStatement

_VIEWED = (
    "SELECT id, sender, status, acceptor, outcome, facts, correlation_id, traceparent, submitted_at,"
    " updated_at, due_at, overdue_since, onward_from, chain, part_of, part, parts,"
    " consent_revoked, left_out, turn_at, acceptor_suspended_since"
    " FROM referrals WHERE id = ANY (?) ORDER BY id"
)
VIEW = SqlStatement(_VIEWED)
LOAD = SqlStatement(_VIEWED, postgresql="FOR UPDATE")
# The referrals that a split has linked with others.
SPLIT = SqlStatement(
    "SELECT id, part_of, part, parts FROM referrals"
    " WHERE id = ANY (?) AND (part_of IS NOT NULL OR parts IS NOT NULL)"
)
OFFERS_OF = SqlStatement(
    "SELECT id, referral_id, organization, service, rank, state, opened_at, deadline, closed_at, reason,"
    " placed_by, nudged_at, acts_at, late_answer, late_at FROM offers WHERE referral_id = ANY (?) ORDER BY id"
)
NEW_REFERRAL = SqlStatement(
    "INSERT INTO referrals (id, sender, facts, correlation_id, traceparent, submitted_at, need_group,"
    " country, turn_at, onward_from, chain, part_of,"
    " status, acceptor, outcome, updated_at, due_at, overdue_since, acceptor_suspended_since, priority,"
    " parts, consent_revoked, part, left_out)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# The latest turn of each sender, by the rank of the urgency: of its open referrals.
LATEST_TURNS = SqlStatement(
    "SELECT value,"
    " (SELECT max(turn_at) FROM referrals WHERE sender = value AND priority = 0),"
    " (SELECT max(turn_at) FROM referrals WHERE sender = value AND priority = 1),"
    " (SELECT max(turn_at) FROM referrals WHERE sender = value AND priority = 2)"
    " FROM EACH (?)"
)
CHANGED_REFERRAL = SqlStatement(
    "UPDATE referrals SET status = ?, acceptor = ?, outcome = ?, updated_at = ?, due_at = ?,"
    " overdue_since = ?, acceptor_suspended_since = ?, priority = ?, parts = ?, consent_revoked = ?,"
    " part = ?, left_out = ? WHERE id = ?"
)
NEW_OFFER = SqlStatement(
    "INSERT INTO offers (id, referral_id, organization, service, rank, state,"
    " opened_at, deadline, closed_at, reason, placed_by, nudged_at, acts_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
CASE_STEPS = SqlStatement(
    "SELECT referral_id, fact FROM timeline WHERE referral_id = ANY (?)"
    " AND fact IN ('case.unreadable', 'case.requested', 'replacement.submitted', 'offer.accepted')"
    " ORDER BY number"
)
# The index `referrals_onward` has them. A part continues the same chain, but it is not a submission.
ONWARD_OF = SqlStatement(
    "SELECT id, sender FROM referrals WHERE onward_from = ? AND part_of IS NULL ORDER BY id"
)
# A step or a coordinator's act: the offer stays in its state.
CHANGED_OFFER = SqlStatement(
    "UPDATE offers SET deadline = ?, nudged_at = ?, acts_at = ? WHERE id = ? AND state = ?"
)
LATE_ANSWER = SqlStatement(
    "UPDATE offers SET late_answer = ?, late_at = ? WHERE id = ? AND late_answer IS NULL"
)
CLOSE_OFFERS = SqlStatement(
    "UPDATE offers SET state = ?, closed_at = ?, reason = ? WHERE id = ANY (?) AND state = ?"
)
NEW_DECISION = SqlStatement(
    "INSERT INTO decisions (id, referral_id, decided_at, record, salt, asked, logged_in)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
NEW_ENTRY = SqlStatement(
    "INSERT INTO timeline (referral_id, time, fact, organization, detail) VALUES (?, ?, ?, ?, ?)"
)
OBSERVE = SqlStatement(
    "INSERT INTO observations (organization, answered, expired, answer_seconds, last_asked, returned)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (organization) DO UPDATE SET"
    " answered = observations.answered + excluded.answered,"
    " expired = observations.expired + excluded.expired,"
    " returned = observations.returned + excluded.returned,"
    " answer_seconds = observations.answer_seconds + excluded.answer_seconds,"
    # Another process may have asked later. Not `max`, because the databases disagree about nulls.
    " last_asked = CASE WHEN observations.last_asked IS NULL"
    " OR excluded.last_asked > observations.last_asked"
    " THEN excluded.last_asked ELSE observations.last_asked END"
)
OBSERVED = SqlStatement(
    "SELECT organization, answered, expired, answer_seconds, last_asked, returned FROM observations"
    " WHERE organization = ANY (?)"
)
HELD_CHANGE = SqlStatement(
    "INSERT INTO held (organization, service, referrals) VALUES (?, ?, ?)"
    " ON CONFLICT (organization, service) DO UPDATE SET referrals = held.referrals + excluded.referrals"
)
NOTHING_HELD = SqlStatement("DELETE FROM held WHERE organization = ? AND service = ? AND referrals = 0")
HELD_AT = SqlStatement("SELECT organization, service, referrals FROM held WHERE organization = ANY (?)")
DEMAND_CHANGE = SqlStatement(
    "INSERT INTO demand (organization, service, sender, urgency, offers, waiting) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (organization, service, sender, urgency) DO UPDATE SET"
    " offers = demand.offers + excluded.offers, waiting = demand.waiting + excluded.waiting"
)
NO_DEMAND_LEFT = SqlStatement(
    "DELETE FROM demand WHERE organization = ? AND service = ? AND sender = ? AND urgency = ?"
    " AND offers = 0 AND waiting = 0"
)
DEMAND_AT = SqlStatement(
    "SELECT organization, service, sender, urgency, offers, waiting FROM demand WHERE organization = ANY (?)"
)
NEW_SEEKING = SqlStatement(
    "INSERT INTO seeking (referral_id, need, region, country, sender, receiver) VALUES (?, ?, ?, ?, ?, ?)"
)
SEEKS_NO_MORE = SqlStatement("DELETE FROM seeking WHERE referral_id = ANY (?)")
NEW_FURTHER_NEED = SqlStatement(
    "INSERT INTO further_needs (referral_id, need, region, country) VALUES (?, ?, ?, ?)"
)
NO_FURTHER_NEEDS = SqlStatement("DELETE FROM further_needs WHERE referral_id = ANY (?)")
FULL = SqlStatement(
    "INSERT INTO full_services (organization, service, since) VALUES (?, ?, ?)"
    " ON CONFLICT (organization, service) DO UPDATE SET since = excluded.since"
    " WHERE full_services.since < excluded.since"
)
WITHDRAWN = SqlStatement(
    "INSERT INTO withdrawn_offers (organization, sender, urgency, counted_at, offers) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (organization, sender, urgency, counted_at) DO UPDATE SET"
    " offers = withdrawn_offers.offers + excluded.offers"
)
WITHDRAWN_AT = SqlStatement(
    "SELECT organization, sender, urgency, counted_at, offers FROM withdrawn_offers"
    " WHERE organization = ANY (?)"
)
WITHDRAWN_FORGOTTEN = SqlStatement("DELETE FROM withdrawn_offers WHERE counted_at <= ?")
FULL_AT = SqlStatement("SELECT organization, service, since FROM full_services WHERE organization = ANY (?)")
NEW_WAITING = SqlStatement(
    "INSERT INTO waiting (referral_id, organization, service, sender, urgency, since)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
WAITING_OF = SqlStatement(
    "SELECT referral_id, organization, service FROM waiting WHERE referral_id = ANY (?)"
)
WAITS_NO_MORE = SqlStatement("DELETE FROM waiting WHERE referral_id = ANY (?)")
# The order of the columns is that of the index `waiting_queue`.
QUEUES_AT = SqlStatement(
    "SELECT DISTINCT organization, service, sender, urgency FROM waiting WHERE organization = ANY (?)"
)
FIRST_IN_QUEUE = SqlStatement(
    "SELECT referral_id, since FROM waiting WHERE organization = ? AND service = ? AND sender = ?"
    " AND urgency = ? ORDER BY since, referral_id LIMIT ?"
)
# The condition is that of the index `offers_open`.
OFFERED_TO = SqlStatement(
    "SELECT DISTINCT referral_id FROM offers WHERE state = 'open' AND organization = ANY (?) LIMIT ?"
)
OFFERED_AFTER = SqlStatement(
    "SELECT DISTINCT referral_id FROM offers WHERE state = 'open' AND organization = ANY (?)"
    " AND referral_id > ? ORDER BY referral_id LIMIT ?"
)
LAST_DECISIONS = SqlStatement(
    "SELECT record FROM decisions WHERE id IN (SELECT MAX(id) FROM decisions WHERE referral_id = ANY (?)"
    " AND erased_at IS NULL GROUP BY referral_id)"
)
# The condition on the status is that of the index `referrals_held`.
HELD_BY = SqlStatement(
    "SELECT id FROM referrals WHERE acceptor = ANY (?) AND status IN ('accepted', 'in_progress', 'on_hold')"
    " AND acceptor_suspended_since IS NULL LIMIT ?"
)
# The condition is that of the index `referrals_suspended_acceptors`.
SUSPENDED_ACCEPTORS = SqlStatement(
    "SELECT DISTINCT acceptor FROM referrals WHERE acceptor_suspended_since IS NOT NULL"
)
NOTED_SUSPENDED = SqlStatement(
    "SELECT id FROM referrals WHERE acceptor = ANY (?) AND acceptor_suspended_since IS NOT NULL LIMIT ?"
)
# The condition is that of the index `offers_due`.
DUE_OFFERS = SqlStatement(
    "SELECT referral_id, id FROM offers WHERE state = 'open' AND acts_at <= ? ORDER BY acts_at LIMIT ?"
)
# The newest referrals that were submitted by a time. The ids ascend with time, so that the index of the ids
# ends the search; only the newest referrals are passed over, and those that were split: their parts count.
PAST_REFERRALS = SqlStatement(
    "SELECT id, part_of, sender, facts, submitted_at, status,"
    " (SELECT MIN(time) FROM timeline WHERE referral_id = newest.id"
    " AND fact IN ('offer.accepted', 'offer.declined')),"
    " EXISTS (SELECT 1 FROM timeline WHERE referral_id = newest.id AND fact = 'referral.unplaced')"
    " FROM (SELECT id, part_of, sender, facts, submitted_at, status FROM referrals"
    " WHERE submitted_at <= ? AND parts IS NULL"
    " ORDER BY id DESC LIMIT ?) AS newest"
)
NEXT_DUE = SqlStatement(
    "SELECT MIN(due) FROM (SELECT MIN(acts_at) AS due FROM offers WHERE state = 'open'"
    " UNION ALL SELECT MIN(due_at) FROM referrals WHERE due_at IS NOT NULL) AS times"
)
DUE_REFERRALS = SqlStatement(
    "SELECT id FROM referrals WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?"
)
