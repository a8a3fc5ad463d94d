"""Sealing cases and notes to their readers, and opening them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kopuro_client.cases import check_case
from kopuro_client.errors import SealingError, UnreadableError
from kopuro_client.records import Jwk
from kopuro_client.resources.directory import DirectoryResources
from kopuro_client.sealing import key_for, open_sealed, seal


class SealedContent(DirectoryResources):
    """Seals to keys of the directory or of the hub's custody, and opens with the private key."""

    def seal(self, case: Mapping[str, Any], *, to: str | None = None) -> str:
        """Return the case as a compact JWE, sealed to the organisation `to` or to the hub's custody key.

        Raises CaseError for an invalid case, SealingError if `to` has published no sealing key.
        """
        check_case(case)
        return seal(case, self._key_for(to))

    def seal_note(self, text: str, *, to: str) -> str:
        """Return the note {"text": ...} as a compact JWE for the organisation `to`.

        Raises SealingError if `to` has published no sealing key.
        """
        return seal({"text": text}, self._key_for(to))

    def open(self, sealed: str, private_key: Jwk | None = None) -> dict[str, Any]:
        """Return the JSON object in a sealed case or note. Raises as `kopuro_client.open_sealed`.

        private_key: by default the one of the client's keys that the `kid` in the header names.
        """
        keys = (private_key,) if private_key is not None else self._private_keys
        if not keys:
            raise SealingError("cannot open a case without the private sealing key")
        return open_sealed(sealed, key_for(sealed, keys))

    def open_note(self, sealed: str, private_key: Jwk | None = None) -> str:
        """Return the text of a note (`note.delivered`). Raises UnreadableError, WrongKeyError as `case`."""
        text = self.open(sealed, private_key).get("text")
        if not isinstance(text, str):
            raise UnreadableError("the sealed content is not a note", reason="not_understood")
        return text

    def _key_for(self, organization_id: str | None) -> Jwk:
        if organization_id is None:
            return self._custody_key.present()
        key = self.organization(organization_id).get("sealing_key")
        if key is None:
            raise SealingError(f"{organization_id} has published no sealing key")
        return key
