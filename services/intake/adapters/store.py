"""The admission store on SQLAlchemy Core."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, select, tuple_

from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement
from services.intake.adapters.tables import IDEMPOTENCY_KEYS, SUBMISSIONS
from services.intake.domain.admission import Admission, Claim, UsedKey
from services.intake.ports import Submitted

_CLAIMED = SqlStatement(
    "SELECT organization, key, fingerprint, understood, answer_id FROM idempotency_keys"
    " WHERE organization = ? AND key = ANY (?)"
)
_NEW_SUBMISSION = SqlStatement("INSERT INTO submissions (referral_id, sender, submitted_at) VALUES (?, ?, ?)")
_NEW_CLAIM = SqlStatement(
    "INSERT INTO idempotency_keys (organization, key, fingerprint, understood, answer_id, used_at)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_NEW_OFFER = SqlStatement(
    "INSERT INTO offers (id, referral_id, organization) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
_OFFERS_TO = SqlStatement("SELECT id, referral_id FROM offers WHERE id = ANY (?) AND organization = ?")
_SENT_BY = SqlStatement("SELECT referral_id FROM submissions WHERE referral_id = ANY (?) AND sender = ?")
_OFFERED_TO = SqlStatement("SELECT referral_id FROM offers WHERE referral_id = ANY (?) AND organization = ?")
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
        _NEW_CLAIM.run_for_each(
            transaction,
            [
                (claim.organization, key, claim.fingerprint, claim.understood, admission.id, at)
                for admission in admissions
                if (claim := admission.claim) is not None
                for key in claim.keys
            ],
        )

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

    def submitted(self, transaction: Connection, referral_id: str) -> Submitted | None:
        """See `ports.AdmissionStore`."""
        wanted = select(SUBMISSIONS).where(SUBMISSIONS.c.referral_id == referral_id)
        row = transaction.execute(wanted).first()
        if row is None:
            return None
        return Submitted(id=row.referral_id, sender=row.sender, submitted_at=row.submitted_at)

    def offered_to(self, transaction: Connection, referral_id: str) -> Collection[str]:
        """See `ports.AdmissionStore`."""
        return {row[0] for row in _CANDIDATES.run(transaction, referral_id)}

    def forget_before(self, transaction: Connection, moment: dt.datetime, limit: int) -> int:
        """See `ports.AdmissionStore`."""
        key = (IDEMPOTENCY_KEYS.c.organization, IDEMPOTENCY_KEYS.c.key)
        old = select(*key).where(IDEMPOTENCY_KEYS.c.used_at < moment).limit(limit)
        return transaction.execute(delete(IDEMPOTENCY_KEYS).where(tuple_(*key).in_(old))).rowcount
