"""Unplaced referrals, as a coordinator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from kopuro_client.paging import following
from kopuro_client.records import Accepted, Page, Unplaced
from kopuro_client.resources.connected import Connected


class Coordination(Connected):
    """Lists unplaced referrals and places them."""

    def unplaced_page(self, *, after: str | None = None, limit: int | None = None) -> Page[Unplaced]:
        page = self._connection.page(
            self._at("routing", "coordination", "unplaced"), {"after": after, "limit": limit}
        )
        return cast("Page[Unplaced]", page)

    def unplaced(self, *, limit: int | None = None) -> Iterator[Unplaced]:
        """Iterate over all referrals that wait for a coordinator. limit: page size."""
        return following(lambda after: self.unplaced_page(after=after, limit=limit))

    def place(
        self, referral_id: str, organization_id: str, *, idempotency_key: str | None = None
    ) -> Accepted:
        """Offer an unplaced referral to an organisation, as a coordinator."""
        return self._submit(
            "coordination",
            referral_id,
            "offer",
            service="routing",
            body={"organization": organization_id},
            key=idempotency_key,
        )
