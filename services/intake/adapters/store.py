"""The admission store on SQLAlchemy Core."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, select, tuple_

from contracts.facts import ReferralSubmitted
from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from services.intake.adapters.tables import COMMANDS, IDEMPOTENCY_KEYS, SUBMISSIONS
from services.intake.domain.admission import Admission, Claim, UsedKey
from services.intake.domain.custody_bound import case_bytes, note_bytes
from services.intake.ports import Admitted, AdmittedReferral

_CLAIMED = SqlStatement(
    "SELECT organization, key, fingerprint, understood, answer_id FROM idempotency_keys"
    " WHERE organization = ? AND key = ANY (?)"
)
_NEW_SUBMISSION = SqlStatement("INSERT INTO submissions (referral_id, sender, submitted_at) VALUES (?, ?, ?)")
_NEW_COMMAND = SqlStatement(
    "INSERT INTO commands (id, referral_id, organization, fact, submitted_at) VALUES (?, ?, ?, ?, ?)"
)
_ANSWERS = SqlStatement("SELECT answer_id FROM idempotency_keys WHERE organization = ? AND key = ANY (?)")
_SUBMISSIONS = SqlStatement(
    "SELECT referral_id, sender, submitted_at FROM submissions WHERE referral_id = ANY (?)"
)
_COMMANDS = SqlStatement(
    "SELECT id, referral_id, organization, fact, submitted_at FROM commands"
    " WHERE id = ANY (?) OR referral_id = ? ORDER BY id"
)
# The bound of a referral's commands (`domain/statement_bound.py`) bounds the rows of each.
_SUBMITTED_ABOUT = SqlStatement(
    "SELECT referral_id, fact, submitted_at FROM commands"
    " WHERE referral_id = ANY (?) AND organization = ? AND submitted_at > ? ORDER BY submitted_at"
)
_NEW_CLAIM = SqlStatement(
    "INSERT INTO idempotency_keys (organization, key, fingerprint, understood, answer_id, used_at)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_NEW_OFFER = SqlStatement(
    "INSERT INTO offers (id, referral_id, organization) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
_IN_CUSTODY = SqlStatement("SELECT sender, bytes FROM custody_sums WHERE sender = ANY (?)")
_NEW_CASE = SqlStatement("INSERT INTO cases_in_custody (referral_id, sender, bytes) VALUES (?, ?, ?)")
_UNCOUNTED_CASE = SqlStatement(
    "INSERT INTO cases_in_custody (referral_id, sender, bytes) VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
)
_CASES = SqlStatement("SELECT referral_id, bytes, sender FROM cases_in_custody WHERE referral_id = ANY (?)")
# In one order, so that no two transactions wait for each other. The sums follow from the locked rows.
_LOCKED_CASES = SqlStatement(_CASES.text, postgresql="ORDER BY referral_id FOR UPDATE")
_LARGER_CASE = SqlStatement("UPDATE cases_in_custody SET bytes = ? WHERE referral_id = ?")
_END_CASE = SqlStatement("DELETE FROM cases_in_custody WHERE referral_id = ANY (?) RETURNING sender, bytes")
_CHANGE_SUM = SqlStatement(
    "INSERT INTO custody_sums (sender, bytes) VALUES (?, ?)"
    " ON CONFLICT (sender) DO UPDATE SET bytes = custody_sums.bytes + excluded.bytes"
)
# Each part has its limit, so that neither index is read to its end.
_COUNTED_REFERRALS = SqlStatement(
    "SELECT referral_id FROM (SELECT referral_id FROM cases_in_custody WHERE referral_id > ?"
    " ORDER BY referral_id LIMIT ?) AS cases"
    " UNION SELECT referral_id FROM (SELECT DISTINCT referral_id FROM notes_kept WHERE referral_id > ?"
    " ORDER BY referral_id LIMIT ?) AS notes"
    " ORDER BY referral_id LIMIT ?"
)
_NOTES_OF = SqlStatement("SELECT author, SUM(bytes) FROM notes_kept WHERE author = ANY (?) GROUP BY author")
_KEEP_NOTE = SqlStatement(
    "INSERT INTO notes_kept (referral_id, author, bytes) VALUES (?, ?, ?)"
    " ON CONFLICT (referral_id, author) DO UPDATE SET bytes = notes_kept.bytes + excluded.bytes"
)
# In one order, so that no two transactions wait for each other.
_LOCKED_NOTES = SqlStatement(
    "SELECT author FROM notes_kept WHERE referral_id = ANY (?)",
    postgresql="ORDER BY referral_id, author FOR UPDATE",
)
_END_NOTES = SqlStatement("DELETE FROM notes_kept WHERE referral_id = ANY (?)")
_MISCOUNTED_SENDERS = SqlStatement(
    "SELECT s.sender FROM custody_sums s LEFT JOIN"
    " (SELECT sender, SUM(bytes) AS bytes FROM cases_in_custody GROUP BY sender) c ON c.sender = s.sender"
    " WHERE s.bytes <> COALESCE(c.bytes, 0) ORDER BY s.sender"
)
_LOCKED_SUM = SqlStatement("SELECT bytes FROM custody_sums WHERE sender = ?", postgresql="FOR UPDATE")
_COUNTED_BYTES = SqlStatement("SELECT COALESCE(SUM(bytes), 0) FROM cases_in_custody WHERE sender = ?")
_OFFERS_TO = SqlStatement("SELECT id, referral_id FROM offers WHERE id = ANY (?) AND organization = ?")
_SENT_BY = SqlStatement("SELECT referral_id FROM submissions WHERE referral_id = ANY (?) AND sender = ?")
_OFFERED_TO = SqlStatement("SELECT referral_id FROM offers WHERE referral_id = ANY (?) AND organization = ?")
_REFERRALS_OF = SqlStatement("SELECT referral_id FROM offers WHERE id = ?")
_CANDIDATES = SqlStatement("SELECT organization FROM offers WHERE referral_id = ?")


class SqlAdmissionStore:
    """See `ports.AdmissionStore`."""

    def claimed(
        self, transaction: Connection, claims: Collection[Claim]
    ) -> Mapping[tuple[str, str], UsedKey]:
        """See `ports.AdmissionStore`."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for claim in claims:
            wanted[claim.organization].extend(claim.keys)
        return {
            (row[0], row[1]): UsedKey(fingerprint=row[2], understood=row[3], answer_id=row[4])
            for organization, keys in wanted.items()
            for row in _CLAIMED.run(transaction, organization, keys)
        }

    def record(self, transaction: Connection, admissions: Sequence[Admission], now: dt.datetime) -> None:
        """See `ports.AdmissionStore`."""
        at = microseconds(now)
        _NEW_SUBMISSION.run_for_each(
            transaction, [(a.referral_id, a.organization, at) for a in admissions if a.is_referral]
        )
        _NEW_COMMAND.run_for_each(
            transaction,
            [
                (a.id, a.referral_id, a.organization, a.events[0].data.routing_key, at)
                for a in admissions
                if not a.is_referral
            ],
        )
        _NEW_CLAIM.run_for_each(
            transaction,
            [
                (claim.organization, key, claim.fingerprint, claim.understood, admission.id, at)
                for admission in admissions
                if (claim := admission.claim) is not None
                for key in claim.keys
            ],
        )

    def in_custody(self, transaction: Connection, senders: Collection[str]) -> Mapping[str, int]:
        """See `ports.AdmissionStore`."""
        if not senders:
            return {}
        return {row[0]: row[1] for row in _IN_CUSTODY.run(transaction, list(senders))}

    def cases_in_custody(self, transaction: Connection, referral_ids: Collection[str]) -> Mapping[str, int]:
        """See `ports.AdmissionStore`."""
        if not referral_ids:
            return {}
        return {row[0]: row[1] for row in _CASES.run(transaction, list(referral_ids))}

    def take_into_custody(self, transaction: Connection, admissions: Sequence[Admission]) -> None:
        """See `ports.AdmissionStore`."""
        # The largest: whether the vault takes a later one is not known here.
        sizes: Counter[tuple[str, str]] = Counter()
        for one in admissions:
            key = one.referral_id, one.organization
            sizes[key] = max(sizes[key], case_bytes(one))
        new = [
            (one.referral_id, one.organization, size)
            for one in admissions
            if one.is_referral and (size := sizes[one.referral_id, one.organization])
        ]
        sums: Counter[str] = Counter()
        for _, sender, size in new:
            sums[sender] += size
        replaced = {key: size for key, size in sizes.items() if size}
        for referral_id, sender, _ in new:
            replaced.pop((referral_id, sender), None)
        larger = []
        if replaced:
            # Parts, and referrals that are older than the count. The row is inserted before it is locked: of
            # two processes that find none, the second waits and counts what the first has left.
            _UNCOUNTED_CASE.run_for_each(transaction, sorted(replaced))
            locked = sorted(referral_id for referral_id, _ in replaced)
            for referral_id, size, sender in _LOCKED_CASES.run(transaction, locked):
                if (growth := sizes[referral_id, sender] - size) > 0:
                    larger.append((size + growth, referral_id))
                    sums[sender] += growth
        _NEW_CASE.run_for_each(transaction, new)
        _LARGER_CASE.run_for_each(transaction, larger)
        # In one order in every transaction, so that no two wait for each other.
        _CHANGE_SUM.run_for_each(transaction, sorted(sums.items()))

    def notes_of(self, transaction: Connection, authors: Collection[str]) -> Mapping[str, int]:
        """See `ports.AdmissionStore`."""
        if not authors:
            return {}
        return {row[0]: int(row[1]) for row in _NOTES_OF.run(transaction, list(authors))}

    def keep_notes(self, transaction: Connection, admissions: Sequence[Admission]) -> None:
        """See `ports.AdmissionStore`."""
        sizes: Counter[tuple[str, str]] = Counter()
        for one in admissions:
            if size := note_bytes(one):
                sizes[one.referral_id, one.organization] += size
        _KEEP_NOTE.run_for_each(transaction, sorted((*key, size) for key, size in sizes.items()))

    def count_earlier(self, transaction: Connection, cases: Collection[tuple[str, str, int]]) -> int:
        """See `ports.AdmissionStore`."""
        sizes = {referral_id: size for referral_id, _, size in cases}
        _UNCOUNTED_CASE.run_for_each(transaction, sorted((one, sender) for one, sender, _ in cases))
        sums: Counter[str] = Counter()
        counted: list[tuple[int, str]] = []
        for referral_id, present, sender in _LOCKED_CASES.run(transaction, sorted(sizes)):
            if present == 0 and sizes[referral_id] > 0:
                counted.append((sizes[referral_id], referral_id))
                sums[sender] += sizes[referral_id]
        _LARGER_CASE.run_for_each(transaction, counted)
        _CHANGE_SUM.run_for_each(transaction, sorted(sums.items()))
        return len(counted)

    def end_custody(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """See `ports.AdmissionStore`."""
        sums: Counter[str] = Counter()
        _LOCKED_CASES.run(transaction, sorted(referral_ids)).all()
        for sender, size in _END_CASE.run(transaction, list(referral_ids)):
            sums[sender] -= size
        _CHANGE_SUM.run_for_each(transaction, sorted(sums.items()))
        _LOCKED_NOTES.run(transaction, list(referral_ids)).all()
        _END_NOTES.run(transaction, list(referral_ids))

    def counted_referrals(self, transaction: Connection, after: str, limit: int) -> list[str]:
        """See `ports.AdmissionStore`."""
        found = _COUNTED_REFERRALS.run(transaction, after, limit, after, limit, limit)
        return [row[0] for row in found]

    def miscounted_senders(self, transaction: Connection) -> list[str]:
        """See `ports.AdmissionStore`."""
        return [row[0] for row in _MISCOUNTED_SENDERS.run(transaction)]

    def recount(self, transaction: Connection, sender: str) -> int:
        """See `ports.AdmissionStore`."""
        # Every change of a case is followed by one of the sum in its transaction. While the sum is locked,
        # exactly the cases that it counts are visible; later ones add to the new sum.
        counted = _LOCKED_SUM.run(transaction, sender).scalar() or 0
        change = int(_COUNTED_BYTES.run(transaction, sender).scalar_one()) - counted
        if change:
            _CHANGE_SUM.run_for_each(transaction, [(sender, change)])
        return change

    def note_offers(self, transaction: Connection, offers: Sequence[tuple[str, str, str]]) -> None:
        """See `ports.AdmissionStore`."""
        _NEW_OFFER.run_for_each(transaction, offers)

    def offers_to(
        self, transaction: Connection, offer_ids: Collection[str], organization: str
    ) -> Mapping[str, str]:
        """See `ports.AdmissionStore`."""
        if not offer_ids:
            return {}
        return {row[0]: row[1] for row in _OFFERS_TO.run(transaction, list(offer_ids), organization)}

    def shared_with(
        self, transaction: Connection, referral_ids: Collection[str], organization: str
    ) -> Collection[str]:
        """See `ports.AdmissionStore`."""
        if not referral_ids:
            return ()
        wanted = list(referral_ids)
        sent = {row[0] for row in _SENT_BY.run(transaction, wanted, organization)}
        offered = {row[0] for row in _OFFERED_TO.run(transaction, wanted, organization)}
        return sent | offered

    def submitted(self, transaction: Connection, referral_id: str) -> AdmittedReferral | None:
        """See `ports.AdmissionStore`."""
        wanted = select(SUBMISSIONS).where(SUBMISSIONS.c.referral_id == referral_id)
        row = transaction.execute(wanted).first()
        if row is None:
            return None
        return AdmittedReferral(id=row.referral_id, sender=row.sender, submitted_at=row.submitted_at)

    def answers_to(self, transaction: Connection, organization: str, keys: Collection[str]) -> list[str]:
        """See `ports.AdmissionStore`."""
        return [row[0] for row in _ANSWERS.run(transaction, organization, list(keys))]

    def admitted(
        self, transaction: Connection, ids: Collection[str], *, referral_id: str = ""
    ) -> list[Admitted]:
        """See `ports.AdmissionStore`."""
        if not ids:
            return []
        wanted = list(ids)
        referrals = [
            Admitted(
                id=id_,
                referral_id=id_,
                organization=sender,
                fact=ReferralSubmitted.routing_key,
                admitted_at=moment_of(at),
            )
            for id_, sender, at in _SUBMISSIONS.run(transaction, wanted)
        ]
        commands = [
            Admitted(
                id=id_,
                referral_id=referral,
                organization=organization,
                fact=fact,
                admitted_at=moment_of(at),
            )
            for id_, referral, organization, fact, at in _COMMANDS.run(transaction, wanted, referral_id)
        ]
        return referrals + commands

    def submitted_about(
        self,
        transaction: Connection,
        referral_ids: Collection[str],
        organization: str,
        since: dt.datetime,
    ) -> list[tuple[str, str, dt.datetime]]:
        """See `ports.AdmissionStore`."""
        if not referral_ids:
            return []
        rows = _SUBMITTED_ABOUT.run(transaction, list(referral_ids), organization, microseconds(since))
        return [(referral_id, fact, moment_of(at)) for referral_id, fact, at in rows]

    def referral_of(self, transaction: Connection, offer_id: str) -> str | None:
        """See `ports.AdmissionStore`."""
        row = _REFERRALS_OF.run(transaction, offer_id).first()
        return None if row is None else str(row[0])

    def offered_to(self, transaction: Connection, referral_id: str) -> Collection[str]:
        """See `ports.AdmissionStore`."""
        return {row[0] for row in _CANDIDATES.run(transaction, referral_id)}

    def forget_before(self, transaction: Connection, moment: dt.datetime, limit: int) -> int:
        """See `ports.AdmissionStore`."""
        key = (IDEMPOTENCY_KEYS.c.organization, IDEMPOTENCY_KEYS.c.key)
        old = select(*key).where(IDEMPOTENCY_KEYS.c.used_at < moment).limit(limit)
        keys = transaction.execute(delete(IDEMPOTENCY_KEYS).where(tuple_(*key).in_(old))).rowcount
        past = select(COMMANDS.c.id).where(COMMANDS.c.submitted_at < moment).limit(limit - keys)
        return keys + transaction.execute(delete(COMMANDS).where(COMMANDS.c.id.in_(past))).rowcount
