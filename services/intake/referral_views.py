"""Views of referrals and offers: routing's answers, and referrals that routing has not read yet."""

from __future__ import annotations

from contracts.codes import FHIR_TASK_STATUS, ReferralStatus
from contracts.errors import Refused
from contracts.queries import OfferQuery, ReferralListQuery, ReferralQuery
from contracts.records import read
from contracts.responses.form import extended
from contracts.responses.referrals import OwnOffer, ReferralSummary, ReferralView
from runtime.storage.database import Database
from services.intake.ports import NO_SUCH_OFFER, AdmissionStore, Referrals


class ReferralViews:
    """Views of referrals and offers."""

    def __init__(self, *, database: Database, store: AdmissionStore, referrals: Referrals) -> None:
        self._database = database
        self._store = store
        self._referrals = referrals

    def referral(self, referral_id: str, viewer: str, *, oversight: bool) -> ReferralView:
        """Return routing's view of a referral. Raises Refused `not-found` and Unavailable."""
        try:
            found = self._referrals.ask(ReferralQuery(id=referral_id, viewer=viewer, oversight=oversight))
            return read(ReferralView, found)
        except Refused as refused:
            if refused.slug != "not-found":
                raise
            with self._database.read() as transaction:
                submitted = self._store.submitted(transaction, referral_id)
            if submitted is None or not (oversight or submitted.sender == viewer):
                raise
        # Admitted here, but not yet processed by routing.
        return ReferralView(
            id=submitted.id,
            sender=submitted.sender,
            status=ReferralStatus.requested,
            status_fhir=FHIR_TASK_STATUS[ReferralStatus.requested],
            acceptor=None,
            outcome=None,
            submitted_at=submitted.submitted_at,
            updated_at=submitted.submitted_at,
            facts=None,
            offers=(),
            timeline=(),
        )

    def offer(self, offer_id: str, organization: str) -> OwnOffer:
        """Return routing's view of an offer for its organisation, with `referral_id` and `sender`.

        Raises Refused `not-found` and Unavailable.
        """
        parties = self._referrals.ask(OfferQuery(id=offer_id))
        if parties is None or parties[1] != organization:
            raise Refused("not-found", NO_SUCH_OFFER)
        query = ReferralQuery(id=parties[0], viewer=organization, oversight=False)
        found = read(ReferralView, self._referrals.ask(query))
        (offer,) = [one for one in found.offers if one.id == offer_id]
        return extended(OwnOffer, offer, referral_id=found.id, sender=found.sender)

    def listing(self, query: ReferralListQuery) -> list[ReferralSummary]:
        """Return routing's list of referrals. Raises Refused and Unavailable."""
        return [read(ReferralSummary, item) for item in self._referrals.ask(query)]
