"""Cases that were released to the organisation."""

from __future__ import annotations

from typing import Any, cast

from kopuro_client.cases import check_readable
from kopuro_client.errors import DefectError
from kopuro_client.records import Accepted, Jwk
from kopuro_client.resources.sealed_content import SealedContent


class ReleasedCases(SealedContent):
    """Reads released cases, and reports those that cannot be read."""

    def sealed_case(self, referral_id: str) -> str:
        """Return the sealed case of a referral that the organisation accepted, a compact JWE to its key."""
        response = self._connection.get(self._at("delivery", "case", referral_id))
        if not isinstance(response.get("case"), str):
            raise DefectError("the hub's response has no sealed case")
        return cast(str, response["case"])

    def case(self, referral_id: str, private_key: Jwk | None = None) -> dict[str, Any]:
        """Return the case of a referral that the organisation accepted, opened here.

        private_key: by default the client's. Raises UnreadableError if the case cannot be opened or is not a
        case, WrongKeyError if it is sealed to another key.
        """
        case = self.open(self.sealed_case(referral_id), private_key)
        check_readable(case)
        return case

    def report_unreadable(
        self,
        referral_id: str,
        reason: str,
        *,
        note_from: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Report that a case, or a note from the organisation `note_from`, is unreadable.

        The hub notifies the sender, who can send it again. reason: UnreadableError's (cannot_decrypt or
        not_understood), or key_lost if the private key that it is sealed to is lost.
        """
        body = {"reason": reason, "content": "case"}
        if note_from is not None:
            body |= {"content": "note", "author": note_from}
        return self._say(referral_id, "unreadable", body=body, key=idempotency_key)
