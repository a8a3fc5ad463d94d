"""A coordinator's queues and acts, and withdrawals for organisations that cannot submit them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from kopuro_client.arguments import mapping, texts
from kopuro_client.paging import following
from kopuro_client.records import (
    Accepted,
    CandidatesNow,
    CoverageCell,
    Engagements,
    Page,
    PolicySimulation,
    QueueItem,
    Unplaced,
    Wish,
)
from kopuro_client.resources.connected import Connected


class Coordination(Connected):
    """Lists the referrals that need a person, acts on them, and withdraws referrals for others."""

    def unplaced_page(self, *, after: str | None = None, limit: int | None = None) -> Page[Unplaced]:
        page = self._connection.page(
            self._at("routing", "coordination", "unplaced"), {"after": after, "limit": limit}
        )
        return cast("Page[Unplaced]", page)

    def unplaced(self, *, limit: int | None = None) -> Iterator[Unplaced]:
        """Iterate over all referrals that wait for a coordinator. limit: page size."""
        return following(lambda after: self.unplaced_page(after=after, limit=limit))

    def queue_page(
        self,
        kind: str,
        *,
        region: str | None = None,
        need: str | None = None,
        organization: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[QueueItem]:
        """Return a page of a queue, ordered by urgency, then age.

        kind: unplaced, silent, overdue or emergency. region: a region or a country. need: a need or a group.
        organization: a party to the referral now.
        """
        wanted = {"region": region, "need": need, "organization": organization}
        page = self._connection.page(
            self._at("routing", "coordination", "queue"),
            {"kind": kind, **wanted, "after": after, "limit": limit},
        )
        return cast("Page[QueueItem]", page)

    def queue(self, kind: str, *, limit: int | None = None) -> Iterator[QueueItem]:
        """Iterate over a whole queue. limit: page size."""
        return following(lambda after: self.queue_page(kind, after=after, limit=limit))

    def wishes(
        self, *, region: str | None = None, need: str | None = None, limit: int | None = None
    ) -> Page[Wish]:
        """Return the changes that would place most unplaced referrals, best first."""
        wanted = {"region": region, "need": need, "limit": limit}
        page = self._connection.page(self._at("routing", "coordination", "wishes"), wanted)
        return cast("Page[Wish]", page)

    def wishes_csv(
        self, *, region: str | None = None, need: str | None = None, limit: int | None = None
    ) -> str:
        """Return the same changes as CSV, one row for each. The changes of one wish have the same rank."""
        wanted = {"region": region, "need": need, "limit": limit}
        return self._connection.csv(self._at("routing", "coordination", "wishes"), wanted)

    def coverage_page(
        self,
        *,
        region: str | None = None,
        need: str | None = None,
        language: str | None = None,
        lacking: bool = False,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[CoverageCell]:
        """Return a page of the coverage by region, need and language.

        lacking: only cells in which referrals found no organisation.
        """
        wanted = {"region": region, "need": need, "language": language, "after": after, "limit": limit}
        page = self._connection.page(
            self._at("routing", "coordination", "coverage"),
            {**wanted, "lacking": "true" if lacking else None},
        )
        return cast("Page[CoverageCell]", page)

    def coverage_csv(
        self,
        *,
        region: str | None = None,
        need: str | None = None,
        language: str | None = None,
        lacking: bool = False,
    ) -> str:
        """Return the whole coverage as CSV, one row for each region, need and language."""
        wanted = {"region": region, "need": need, "language": language}
        url = self._at("routing", "coordination", "coverage")
        return self._connection.csv(url, {**wanted, "lacking": "true" if lacking else None})

    def simulate(self, policy: Mapping[str, Any], *, referrals: int | None = None) -> PolicySimulation:
        """Return which of the last referrals would have gone elsewhere under a policy.

        policy: the members of a routing policy, its version included. referrals: how many, at most 500; by
        default 500. The hub stores nothing but an entry about the read, so the request is retried like one.
        Raises InvalidArgumentError if the policy is not a mapping.
        """
        body: dict[str, Any] = {"policy": mapping(policy, "policy")}
        if referrals is not None:
            body["referrals"] = referrals
        url = self._at("routing", "coordination", "policies:simulate")
        return cast(PolicySimulation, self._connection.post(url, body, repeatable=True))

    def engagements(self, organization_id: str) -> Engagements:
        """Return how many open referrals an organisation is asked about, has accepted or has sent."""
        url = self._at("routing", "coordination", "organizations", organization_id, "engagements")
        return cast(Engagements, self._connection.get(url))

    def candidates(self, referral_id: str, *, organization: str | None = None) -> CandidatesNow:
        """Return the candidates of a search now, or those of one organisation, with every rule."""
        url = self._at("routing", "coordination", referral_id, "candidates")
        return cast(CandidatesNow, self._connection.get(url, {"organization": organization}))

    def place(
        self,
        referral_id: str,
        organization_id: str,
        *,
        reason: str | None = None,
        offers: Sequence[str] | None = None,
        overridden: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Offer a referral to an organisation, as a coordinator.

        reason: required if open offers or an overdue acceptance are revoked for it: no_answer,
        agreed_with_organization, asked_by_sender, person_at_risk or other. offers: the ids of the open
        offers, or of the accepted one, that the coordinator saw: if the referral waits for another one when
        the placement takes effect, it is refused. By default those of the moment of the request. overridden:
        the rules that the coordinator saw exclude the organisation: if another one does, it is refused. By
        default those of the moment of the request.
        """
        body = {"organization": organization_id, **_given(reason=reason, offers=offers)}
        if overridden is not None:
            body["overridden"] = texts(overridden, "the overridden rules")
        return self._act(referral_id, "offer", body, idempotency_key)

    # organization, below: the holder of an open offer or the acceptor; by default all that are waited for.
    # offers: as for `place`; the act concerns no other offer.

    def nudge(
        self,
        referral_id: str,
        reason: str,
        *,
        organization: str | None = None,
        offers: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Remind the organisation that an answer or a report is awaited. reason: see `place`."""
        return self._act(referral_id, "nudge", _act(reason, organization, offers), idempotency_key)

    def extend(
        self,
        referral_id: str,
        until: str,
        reason: str,
        *,
        organization: str | None = None,
        offers: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Give the organisation more time. until: the new deadline, RFC 3339. reason: see `place`."""
        body = {**_act(reason, organization, offers), "until": until}
        return self._act(referral_id, "extend", body, idempotency_key)

    def move_on(
        self,
        referral_id: str,
        reason: str,
        *,
        organization: str | None = None,
        offers: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Revoke the open offer, or an overdue acceptance, and ask the next candidate.

        reason: see `place`.
        """
        return self._act(referral_id, "move-on", _act(reason, organization, offers), idempotency_key)

    def withdraw_for(self, referral_id: str, organization_id: str, reason: str) -> Accepted:
        """Withdraw a referral for an organisation that cannot do it itself, as a coordinator.

        organization_id: excluded from the hub or without a live client; the sender or, with the reason
        `consent_revoked`, the acceptor. reason: a withdrawal code, or `consent_revoked` when the person
        revoked the consent.
        """
        url = self._at("routing", "coordination", referral_id, "withdraw")
        wanted = {"organization": organization_id, "reason": reason}
        return cast(Accepted, self._connection.post(url, wanted))

    def _act(self, referral_id: str, act: str, body: Mapping[str, Any], key: str | None) -> Accepted:
        return self._submit("coordination", referral_id, act, service="routing", body=body, key=key)


def _act(reason: str, organization: str | None, offers: Sequence[str] | None) -> dict[str, Any]:
    return {"reason": reason, **_given(organization=organization, offers=offers)}


def _given(*, offers: Sequence[str] | None, **members: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {name: value for name, value in members.items() if value is not None}
    return given if offers is None else {**given, "offers": texts(offers, "the offers")}
