"""A referral to be submitted: its open facts, and its case, sealed or still to be sealed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from kopuro_client.arguments import idempotency_key, mapping, text
from kopuro_client.cases import check_case
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import Jwk
from kopuro_client.sealing import seal


def new_idempotency_key() -> str:
    """Return a new unique key."""
    return str(uuid.uuid4())


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A referral to be submitted. Give exactly one of `case` and `sealed`.

    Each sealing gives a different result, and a hub refuses a known Idempotency-Key with another body. To be
    able to resubmit after a crash, store the sealed case (`Kopuro.seal`) with its key, and send both again.
    Raises InvalidArgumentError for invalid members.
    """

    facts: Mapping[str, Any]
    case: Mapping[str, Any] | None = field(default=None, repr=False)
    sealed: str | None = field(default=None, repr=False)  # a compact JWE
    idempotency_key: str = field(default_factory=new_idempotency_key)  # printable ASCII

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the submission in a JSON document, in the format of the command's input and of a batch line.

        document: the facts, with a member "case" (an object to be sealed, or a sealed case as a string) and
        optionally a member "idempotency_key". Raises InvalidArgumentError for invalid members.
        """
        facts = dict(mapping(document, "a submission"))
        case = facts.pop("case", None)
        key = facts.pop("idempotency_key", None)
        if not isinstance(case, (Mapping, str)):
            raise InvalidArgumentError(
                'the referral has no "case": it must be an object, or a sealed case as a string'
            )
        return cls(
            facts=facts,
            case=None if isinstance(case, str) else case,
            sealed=case if isinstance(case, str) else None,
            idempotency_key=new_idempotency_key() if key is None else key,
        )

    def __post_init__(self) -> None:
        mapping(self.facts, "the facts")
        idempotency_key(self.idempotency_key)
        if self.case is not None:
            mapping(self.case, "a case")
        if self.sealed is not None:
            text(self.sealed, "a sealed case")
        if (self.case is None) == (self.sealed is None):
            raise InvalidArgumentError("a submission needs either a case or a sealed case")
        if "case" in self.facts:
            raise InvalidArgumentError("the facts must not contain the case")

    def body(self, key_for: Callable[[str | None], Jwk]) -> dict[str, Any]:
        """Return the request body: the facts and the sealed case.

        key_for: returns the public key to seal to, given the fact `to` or None. Raises SealingError
        (CaseError for an invalid case).
        """
        sealed = self.sealed
        if self.case is not None:
            check_case(self.case)
            sealed = seal(self.case, key_for(self.facts.get("to")))
        return {**self.facts, "case": sealed}
