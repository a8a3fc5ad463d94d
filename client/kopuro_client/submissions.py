"""A referral on its way to a hub: the open facts, and the case, sealed or to be sealed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from kopuro_client.arguments import mapping, text
from kopuro_client.cases import check_case
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import Jwk
from kopuro_client.sealing import seal


def new_idempotency_key() -> str:
    """A key nobody has used."""
    return str(uuid.uuid4())


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """Exactly one of case and sealed is given.

    A sealing is different each time, and a hub refuses a known Idempotency-Key with another body.
    To submit again after a crash, keep what was sealed (`Kopuro.seal`) beside its key, and send
    both again.
    """

    facts: Mapping[str, Any]
    case: Mapping[str, Any] | None = field(default=None, repr=False)
    sealed: str | None = field(default=None, repr=False)  # a compact JWE
    idempotency_key: str = field(default_factory=new_idempotency_key)  # printable ASCII

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The submission in a document as the command reads it and a batch line has it.

        document: the facts, with a member "case" (an object that is to be sealed, or the text of a sealed
        case) and perhaps a member "idempotency_key". Raises InvalidArgumentError.
        """
        facts = dict(mapping(document, "a submission"))
        case = facts.pop("case", None)
        key = facts.pop("idempotency_key", None)
        if not isinstance(case, (Mapping, str)):
            raise InvalidArgumentError(
                'the referral lacks its "case": an object, or the text of a sealed case'
            )
        return cls(
            facts=facts,
            case=None if isinstance(case, str) else case,
            sealed=case if isinstance(case, str) else None,
            idempotency_key=new_idempotency_key() if key is None else key,
        )

    def __post_init__(self) -> None:
        mapping(self.facts, "the facts")
        text(self.idempotency_key, "an idempotency key")
        if self.case is not None:
            mapping(self.case, "a case")
        if self.sealed is not None:
            text(self.sealed, "a sealed case")
        if (self.case is None) == (self.sealed is None):
            raise InvalidArgumentError("a submission needs a case or a sealed case, and not both")
        if "case" in self.facts:
            raise InvalidArgumentError("the case does not belong among the open facts")
        if not (
            self.idempotency_key.isascii()
            and self.idempotency_key.isprintable()
            and self.idempotency_key.strip()
        ):
            raise InvalidArgumentError("an idempotency key is printable ASCII")

    def body(self, key_for: Callable[[str | None], Jwk]) -> dict[str, Any]:
        """What is posted: the facts and the sealed case.

        key_for: the public key to seal to, given the organisation named in `to` or None. Raises
        SealingError.
        """
        sealed = self.sealed
        if self.case is not None:
            check_case(self.case)
            sealed = seal(self.case, key_for(self.facts.get("to")))
        return {**self.facts, "case": sealed}
