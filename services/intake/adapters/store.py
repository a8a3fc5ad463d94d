"""The store of admissions on SQLAlchemy Core."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select, tuple_, union_all
from sqlalchemy.dialects import postgresql, sqlite

from services.intake.adapters.tables import IDEMPOTENCY_KEYS, OFFERS, SUBMISSIONS
from services.intake.domain.admission import Admission, Claim
from services.intake.ports import Submitted

# Batches that meet bring many claims. SQLite takes 32 766 parameters a statement, two for a claim;
# PostgreSQL's planner runs out of stack at some 5 000 pairs.
_CLAIMS_A_QUERY = 1_000


class SqlAdmissionStore:
    """See `ports.AdmissionStore`."""

    def claimed(
        self, transaction: Connection, claims: Collection[Claim]
    ) -> Mapping[tuple[str, str], tuple[str, str]]:
        """See `ports.AdmissionStore`."""
        keys = IDEMPOTENCY_KEYS.c
        wanted = [(claim.organization, claim.key) for claim in claims]
        found = {}
        for start in range(0, len(wanted), _CLAIMS_A_QUERY):
            some = wanted[start : start + _CLAIMS_A_QUERY]
            rows = transaction.execute(
                select(IDEMPOTENCY_KEYS).where(tuple_(keys.organization, keys.key).in_(some))
            )
            found.update({(row.organization, row.key): (row.fingerprint, row.answer_id) for row in rows})
        return found

    def record(self, transaction: Connection, admissions: Sequence[Admission], now: dt.datetime) -> None:
        """See `ports.AdmissionStore`."""
        referrals = [
            {"referral_id": a.referral_id, "sender": a.organization, "submitted_at": now}
            for a in admissions
            if a.is_referral
        ]
        if referrals:
            transaction.execute(insert(SUBMISSIONS), referrals)
        claims = [
            {
                "organization": admission.claim.organization,
                "key": admission.claim.key,
                "fingerprint": admission.claim.fingerprint,
                "answer_id": admission.id,
                "used_at": now,
            }
            for admission in admissions
            if admission.claim is not None
        ]
        if claims:
            transaction.execute(insert(IDEMPOTENCY_KEYS), claims)

    def note_offers(self, transaction: Connection, offers: Sequence[tuple[str, str, str]]) -> None:
        """See `ports.AdmissionStore`."""
        dialect = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
        transaction.execute(
            dialect(OFFERS).on_conflict_do_nothing(),
            [
                {"id": offer_id, "referral_id": referral_id, "organization": organization}
                for offer_id, referral_id, organization in offers
            ],
        )

    def offers_to(
        self, transaction: Connection, offer_ids: Collection[str], organization: str
    ) -> Mapping[str, str]:
        """See `ports.AdmissionStore`."""
        if not offer_ids:
            return {}
        wanted = select(OFFERS.c.id, OFFERS.c.referral_id).where(
            OFFERS.c.id.in_(offer_ids), OFFERS.c.organization == organization
        )
        return {row.id: row.referral_id for row in transaction.execute(wanted)}

    def shared_with(
        self, transaction: Connection, referral_ids: Collection[str], organization: str
    ) -> Collection[str]:
        """See `ports.AdmissionStore`."""
        if not referral_ids:
            return ()
        sent = select(SUBMISSIONS.c.referral_id).where(
            SUBMISSIONS.c.referral_id.in_(referral_ids), SUBMISSIONS.c.sender == organization
        )
        asked = select(OFFERS.c.referral_id).where(
            OFFERS.c.referral_id.in_(referral_ids), OFFERS.c.organization == organization
        )
        return set(transaction.execute(union_all(sent, asked)).scalars())

    def submitted(self, transaction: Connection, referral_id: str) -> Submitted | None:
        """See `ports.AdmissionStore`."""
        wanted = select(SUBMISSIONS).where(SUBMISSIONS.c.referral_id == referral_id)
        row = transaction.execute(wanted).first()
        if row is None:
            return None
        return Submitted(id=row.referral_id, sender=row.sender, submitted_at=row.submitted_at)

    def forget_before(self, transaction: Connection, moment: dt.datetime) -> int:
        """See `ports.AdmissionStore`."""
        return transaction.execute(
            delete(IDEMPOTENCY_KEYS).where(IDEMPOTENCY_KEYS.c.used_at < moment)
        ).rowcount
