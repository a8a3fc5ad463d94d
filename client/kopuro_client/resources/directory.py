"""Organisations, services and keys of the directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from kopuro_client.administration import Administration
from kopuro_client.key_replacement import answer_to, demands_proof
from kopuro_client.paging import following
from kopuro_client.records import Agreement, Approval, Jwk, Organization, Page, Service
from kopuro_client.resources.connected import Connected
from kopuro_client.responses import required_member
from kopuro_client.sealing import public_key


class DirectoryResources(Connected):
    """Reads the directory and changes the organisation's own record."""

    def organization(self, organization_id: str) -> Organization:
        return cast(
            Organization,
            self._connection.get(self._at("directory", "organizations", organization_id)),
        )

    def organizations_page(
        self,
        *,
        kind: str | None = None,
        country: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[Organization]:
        """Return a page of the organisations, ordered by id."""
        params = {"kind": kind, "country": country, "after": after, "limit": limit}
        page = self._connection.page(self._at("directory", "organizations"), params)
        return cast("Page[Organization]", page)

    def organizations(
        self, *, kind: str | None = None, country: str | None = None, limit: int | None = None
    ) -> Iterator[Organization]:
        """Iterate over the organisations. limit: page size."""
        return following(
            lambda after: self.organizations_page(kind=kind, country=country, after=after, limit=limit)
        )

    def agreements_page(self, *, after: str | None = None, limit: int | None = None) -> Page[Agreement]:
        """Return a page of the agreements, ordered by id."""
        params = {"after": after, "limit": limit}
        return cast("Page[Agreement]", self._connection.page(self._at("directory", "agreements"), params))

    def services_page(
        self,
        *,
        need: str | None = None,
        region: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[Service]:
        """Return a page of the services on offer, with their organisations.

        need: a need or a group. region: a region or a country.
        """
        params = {"need": need, "region": region, "after": after, "limit": limit}
        return cast("Page[Service]", self._connection.page(self._at("directory", "services"), params))

    def services(
        self, *, need: str | None = None, region: str | None = None, limit: int | None = None
    ) -> Iterator[Service]:
        """Iterate over the services on offer. limit: page size."""
        return following(lambda after: self.services_page(need=need, region=region, after=after, limit=limit))

    def update_organization(
        self, organization_id: str, changes: Mapping[str, Any], *, revision: int | None = None
    ) -> Organization | Approval:
        """Change the organisation's own record by a JSON merge patch (RFC 7396). A null removes a member.

        Returns the changed record; for an operator's change that a second person must approve, the request.
        revision: that of the record on which the changes are based, by default the current one. Raises
        RefusedError (`precondition-failed`) if the record has changed since.
        """
        if revision is None:
            revision = required_member(self.organization(organization_id), "revision")
        url = self._at("directory", "organizations", organization_id)
        answer = self._connection.patch(url, changes, revision=revision)
        return cast("Organization | Approval", answer)

    def publish_key(
        self,
        key: Mapping[str, Any],
        *,
        old_key: Mapping[str, Any] | None = None,
        approval: bool = False,
    ) -> Jwk | Approval:
        """Publish the organisation's sealing key; only the public key is sent.

        Returns the key if it is in force, or the request if operators must approve it. old_key: the private
        key that is replaced; the hub demands proof of it. approval: the old key is lost. Raises SealingError
        if the hub demands a proof that is not given, and what `key_replacement.answer_to` raises.
        """
        url = self._at("directory", "keys")
        new = public_key(key)
        answer = self._connection.post(url, {**new, "approval": True} if approval else new)
        if "sealed" not in answer:
            return cast("Jwk | Approval", answer)
        if old_key is None:
            raise demands_proof()
        proof = {"answer": answer_to(answer, old_key, new)}
        url = self._at("directory", "keys", required_member(answer, "challenge"), "prove")
        return cast(Jwk, self._connection.post(url, proof))

    @property
    def administration(self) -> Administration:
        """Clients, approvals and the history of sealing keys."""
        return Administration(self._connection, lambda *path: self._at("directory", *path))
