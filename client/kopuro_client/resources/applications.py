"""Applications to join the network: anybody may send one, and the staff decide about them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, cast

from kopuro_client.arguments import mapping, text
from kopuro_client.records import (
    ApplicationList,
    ApplicationReceipt,
    ApplicationRecord,
    ApplicationStatus,
)
from kopuro_client.resources.connected import Connected

REFERENCE_HEADER: Final = "Kopuro-Application-Reference"
_REFERENCE_BYTES: Final = 32


def new_application_reference() -> str:
    """Return a new reference. Anybody who has it can read and withdraw the application."""
    return secrets.token_urlsafe(_REFERENCE_BYTES)


class Applications(Connected):
    """Applies to join the network, without credentials, and decides about applications."""

    def apply(self, application: Mapping[str, Any], *, reference: str | None = None) -> ApplicationReceipt:
        """Apply to join the network. Sends no token.

        application: name, kind, country, languages, description, contact, and optionally website, parent and
        proposed_id. reference: of `new_application_reference`; by default a new one, which the result has.
        The hub gets its digest only. A repetition under the same reference stores nothing new.
        """
        own = new_application_reference() if reference is None else text(reference, "a reference")
        body = {
            **mapping(application, "an application"),
            "reference_sha256": sha256(own.encode()).hexdigest(),
        }
        receipt = self._connection.public("POST", self._at("directory", "applications"), body)
        return cast(ApplicationReceipt, {**receipt, "reference": own})

    def application_status(self, application_id: str, reference: str) -> ApplicationStatus:
        """Return the state of one's own application. Sends no token."""
        url = self._at("directory", "applications", text(application_id, "an application"), "state")
        headers = {REFERENCE_HEADER: text(reference, "a reference")}
        return cast(ApplicationStatus, self._connection.public("GET", url, headers=headers))

    def withdraw_application(self, application_id: str, reference: str) -> ApplicationStatus:
        """Withdraw one's own application; a repetition changes nothing. Sends no token."""
        url = self._at("directory", "applications", text(application_id, "an application"), "withdraw")
        headers = {REFERENCE_HEADER: text(reference, "a reference")}
        return cast(ApplicationStatus, self._connection.public("POST", url, headers=headers))

    def applications_page(
        self, *, state: str | None = None, after: str | None = None, limit: int | None = None
    ) -> ApplicationList:
        """Return a page of applications, oldest first, as a coordinator or an operator.

        state: waiting, in_approval, vetted, refused, withdrawn or expired.
        """
        params = {"state": state, "after": after, "limit": limit}
        page = self._connection.page(self._at("directory", "applications"), params)
        return cast("ApplicationList", page)

    def application(self, application_id: str) -> ApplicationRecord:
        """Return one application with all that was sent, as a coordinator or an operator."""
        url = self._at("directory", "applications", text(application_id, "an application"))
        return cast(ApplicationRecord, self._connection.get(url))

    def vet_application(
        self,
        application_id: str,
        *,
        organization_id: str | None = None,
        parent: str | None = None,
        without_parent: bool = False,
    ) -> ApplicationRecord:
        """Ask to vet an application; a second person approves `approval_id` unless one decides.

        organization_id, parent: by default as proposed.
        """
        url = self._at("directory", "applications", text(application_id, "an application"), "vet")
        body = {"id": organization_id, "parent": parent, "without_parent": without_parent}
        return cast(ApplicationRecord, self._connection.post(url, body, repeatable=True))

    def refuse_application(
        self, application_id: str, reason: str, *, note: str | None = None
    ) -> ApplicationRecord:
        """Refuse an application. note: only the applicant can read it."""
        url = self._at("directory", "applications", text(application_id, "an application"), "refuse")
        body = {"reason": text(reason, "a reason"), "note": note}
        return cast(ApplicationRecord, self._connection.post(url, body, repeatable=True))
