"""Organisations, services and keys of the directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from kopuro_client.answers import answered
from kopuro_client.paging import following
from kopuro_client.records import (
    Jwk,
    Organization,
    Page,
    Service,
)
from kopuro_client.resources.connected import Connected
from kopuro_client.sealing import public_key


class DirectoryResources(Connected):
    """Reads the directory and changes the organisation's own record."""

    def organization(self, organization_id: str) -> Organization:
        return cast(
            Organization,
            self._connection.get(self._at("directory", "organizations", organization_id)),
        )

    def organizations(
        self, *, kind: str | None = None, country: str | None = None, limit: int | None = None
    ) -> Iterator[Organization]:
        url = self._at("directory", "organizations")
        params = {"kind": kind, "country": country, "limit": limit}
        return following(
            lambda after: cast("Page[Organization]", self._connection.page(url, {**params, "after": after}))
        )

    def services(
        self, *, need: str | None = None, region: str | None = None, limit: int | None = None
    ) -> Iterator[Service]:
        url = self._at("directory", "services")
        params = {"need": need, "region": region, "limit": limit}
        return following(
            lambda after: cast("Page[Service]", self._connection.page(url, {**params, "after": after}))
        )

    def update_organization(
        self, organization_id: str, changes: Mapping[str, Any], *, revision: int | None = None
    ) -> Organization:
        """Change the organisation's own record by a JSON merge patch (RFC 7396). A null removes a member.

        revision: that of the record on which the changes are based, by default the current one. Raises
        RefusedError (`precondition-failed`) if the record has changed since.
        """
        if revision is None:
            revision = answered(self.organization(organization_id), "revision")
        url = self._at("directory", "organizations", organization_id)
        return cast(Organization, self._connection.patch(url, changes, revision=revision))

    def publish_key(self, key: Mapping[str, Any]) -> Jwk:
        """Publish the organisation's sealing key in the directory. Only the public key is sent."""
        return cast(Jwk, self._connection.post(self._at("directory", "keys"), public_key(key)))
