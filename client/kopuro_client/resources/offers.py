"""Offers, as the organisation that was asked."""

from __future__ import annotations

from typing import cast

from kopuro_client.records import Accepted, Offer
from kopuro_client.resources.sealed_content import SealedContent
from kopuro_client.responses import required_member


class Offers(SealedContent):
    """Reads and answers offers."""

    def accept(self, offer_id: str, *, idempotency_key: str | None = None) -> Accepted:
        """Accept an offer. This only records the answer; the mailbox reports whether it was in time."""
        return self._submit("offers", offer_id, "accept", body={}, key=idempotency_key)

    def offer(self, offer_id: str) -> Offer:
        """Return an offer made to the organisation, with the referral's id and sender."""
        return cast(Offer, self._connection.get(self._at("intake", "offers", offer_id)))

    def decline(
        self,
        offer_id: str,
        reason: str,
        *,
        note: str | None = None,
        sender: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Decline an offer. The hub offers the referral to the next candidate at once.

        reason: no_capacity, not_eligible, out_of_area, language, conflict_of_interest, needs_reassessment or
        other; `other` requires a note. note: sealed here, so that only the referral's sender can read it.
        sender: the offer's `sender`; by default requested from the hub.

        Raises SealingError if there is a note and the sender has published no sealing key.
        """
        body = {"reason": reason}
        if note is not None:
            body["note"] = self.seal_note(note, to=sender or required_member(self.offer(offer_id), "sender"))
        return self._submit("offers", offer_id, "decline", body=body, key=idempotency_key)
