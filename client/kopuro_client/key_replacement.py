"""Replacement of a sealing key: the hub's challenge, and its answer with the old key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kopuro_client.errors import DefectError, SealingError, WrongKeyError
from kopuro_client.sealing import open_sealed, thumbprint

PURPOSE: Final = "kopuro sealing key replacement"


def answer_to(challenge: Mapping[str, Any], old_key: Mapping[str, Any], new_key: Mapping[str, Any]) -> str:
    """Return the answer to a challenge: {"challenge", "sealed", "kid", "expires_at"}.

    Only content that was sealed for this purpose and names the new key is returned, so that the hub cannot
    have other content opened in this way. Raises WrongKeyError if the challenge is sealed to another key than
    `old_key`, UnreadableError if it cannot be opened, and DefectError for other content.
    """
    sealed = challenge.get("sealed")
    if not isinstance(sealed, str):
        raise DefectError("the hub's challenge has no sealed answer")
    try:
        content = open_sealed(sealed, old_key)
    except WrongKeyError:
        raise WrongKeyError(
            f"{thumbprint(old_key)} is not your present sealing key, which must prove the replacement: "
            "`kopuro key history` names the present one"
        ) from None
    answer = content.get("answer")
    if (
        content.get("purpose") != PURPOSE
        or content.get("challenge") != challenge.get("challenge")
        or content.get("kid") != thumbprint(new_key)
        or not isinstance(answer, str)
    ):
        raise DefectError("the hub's challenge is not for this replacement of the key")
    return answer


def demands_proof() -> SealingError:
    """Return the error for a replacement without the old key."""
    return SealingError(
        "the hub has another key of this organisation: give the old key, or request an approval without it"
    )
