"""Ports of intake's use cases: the store of admissions, and routing's knowledge of referrals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import Connection

from contracts.facts import TransitKeyPublished
from contracts.queries import Query
from services.intake.domain.admission import Admission, Claim, UsedKey

NO_SUCH_OFFER: Final = "This offer does not exist, or it was not made to your organisation."


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmittedReferral:
    """A referral that intake admitted."""

    id: str
    sender: str
    submitted_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """A submission that intake admitted.

    id: the id in its response: the referral's for a new referral, else the submission's. fact: the routing
    key of its first event, such as `answer.submitted`.
    """

    id: str
    referral_id: str
    organization: str
    fact: str
    admitted_at: dt.datetime


class AdmissionStore(Protocol):
    """Admitted submissions, used Idempotency-Keys and known offers."""

    def claimed(
        self, transaction: Connection, claims: Collection[Claim]
    ) -> Mapping[tuple[str, str], UsedKey]:
        """Return (organisation, key) -> used key, for the claims whose key was used before."""
        ...

    def record(self, transaction: Connection, admissions: Sequence[Admission], now: dt.datetime) -> None:
        """Insert new referrals, commands and claims. The outbox stores the events."""
        ...

    def in_custody(self, transaction: Connection, senders: Collection[str]) -> Mapping[str, int]:
        """Return the bytes of the cases in custody by sender, for the senders that have any."""
        ...

    def cases_in_custody(self, transaction: Connection, referral_ids: Collection[str]) -> Mapping[str, int]:
        """Return the bytes of these referrals' cases, for those that are counted."""
        ...

    def take_into_custody(self, transaction: Connection, admissions: Sequence[Admission]) -> None:
        """Count the cases of new referrals, and replacements that are larger than what is counted."""
        ...

    def notes_of(self, transaction: Connection, authors: Collection[str]) -> Mapping[str, int]:
        """Return the bytes of the notes about open referrals by author, for the authors that have any."""
        ...

    def keep_notes(self, transaction: Connection, admissions: Sequence[Admission]) -> None:
        """Count the notes of these admissions until their referrals end."""
        ...

    def counted_referrals(self, transaction: Connection, after: str, limit: int) -> list[str]:
        """Return ids above `after` of referrals with a counted case or note, in order."""
        ...

    def miscounted_senders(self, transaction: Connection) -> list[str]:
        """Return the senders whose sum is not that of their counted cases."""
        ...

    def recount(self, transaction: Connection, sender: str) -> int:
        """Add the sender's counted cases up again; return by how many bytes the sum changed.

        Waits for other transactions that change the same sum.
        """
        ...

    def count_earlier(self, transaction: Connection, cases: Collection[tuple[str, str, int]]) -> int:
        """Count cases that do not count yet; return how many. cases: (referral id, sender, bytes)."""
        ...

    def end_custody(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """Count the cases and notes of these referrals no longer. Idempotent."""
        ...

    def note_offers(self, transaction: Connection, offers: Sequence[tuple[str, str, str]]) -> None:
        """Insert (offer id, referral id, organisation) rows. Idempotent."""
        ...

    def offers_to(
        self, transaction: Connection, offer_ids: Collection[str], organization: str
    ) -> Mapping[str, str]:
        """Return offer id -> referral id, for the known offers made to the organisation."""
        ...

    def shared_with(
        self, transaction: Connection, referral_ids: Collection[str], organization: str
    ) -> Collection[str]:
        """Return the referrals that the organisation is known to have sent or been offered."""
        ...

    def submitted(self, transaction: Connection, referral_id: str) -> AdmittedReferral | None:
        """Return a referral that intake admitted, or None."""
        ...

    def answers_to(self, transaction: Connection, organization: str, keys: Collection[str]) -> list[str]:
        """Return the ids that answered the organisation's requests under these Idempotency-Keys."""
        ...

    def admitted(
        self, transaction: Connection, ids: Collection[str], *, referral_id: str = ""
    ) -> list[Admitted]:
        """Return the submissions with these ids, and all commands about the referral; by id, referrals first.

        Commands are known for as long as Idempotency-Keys are kept.
        """
        ...

    def submitted_about(
        self,
        transaction: Connection,
        referral_ids: Collection[str],
        organization: str,
        since: dt.datetime,
    ) -> list[tuple[str, str, dt.datetime]]:
        """Return the organisation's commands about these referrals that were admitted since, oldest first.

        Each by its referral, the routing key of its first event and the time of its admission.
        """
        ...

    def referral_of(self, transaction: Connection, offer_id: str) -> str | None:
        """Return the referral of a known offer, or None."""
        ...

    def offered_to(self, transaction: Connection, referral_id: str) -> Collection[str]:
        """Return the organisations that are known to have been offered the referral."""
        ...

    def forget_before(self, transaction: Connection, moment: dt.datetime, limit: int) -> int:
        """Delete at most `limit` Idempotency-Keys and commands older than the moment; return how many."""
        ...


class TransitKeys(Protocol):
    """The vault's transit key, and the number of messages that intake has sealed to it.

    `seal` and `adopt` exclude each other across processes, so a count that `adopt` returns is final.
    """

    def seal(self, transaction: Connection, admissions: Sequence[Admission]) -> list[Admission]:
        """Return the admissions with their sealed messages sealed to the transit key, and count these.

        Raises Unavailable while no transit key is known.
        """
        ...

    def adopt(self, transaction: Connection, keys: Collection[TransitKeyPublished]) -> list[tuple[str, int]]:
        """Use the newest key from now on. Return (kid, messages sealed to it) for each key that it replaces.

        Idempotent: an older key never replaces a newer one.
        """
        ...


class Referrals(Protocol):
    """Requests to routing, which knows every referral. Sent over the broker, with a deadline."""

    def ask(self, query: Query) -> Any:
        """Return the reply as JSON values. Raises routing's Refused, and Unavailable past the deadline."""
        ...
