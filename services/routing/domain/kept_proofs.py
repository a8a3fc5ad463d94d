"""The proofs of the organisations that a decision asked, which outlast its record.

A proof says what its organisation knows anyway: that it was asked about this referral. Without it, the
organisation would see from the list of its decisions that consent was withdrawn, although its part had ended.
The decisions of a referral that ends otherwise are erased months later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts import base64_text
from contracts.records import plain, read
from services.routing.domain.candidate_tree import ASKED, CandidateProof, prove_candidate


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptProof:
    """The stored part of a `CandidateProof`. salt, path: base64."""

    salt: str
    index: int
    size: int
    path: tuple[str, ...]


def kept_proofs(
    referral_id: str, organizations: Iterable[str], asked: Sequence[str] | None, salt: bytes | None
) -> Mapping[str, Any]:
    """Return what is kept of a decision: JSON, by organisation.

    organizations: of all candidates. Empty without a salt, and for organisations that are not candidates.
    """
    if salt is None or asked is None:
        return {}
    candidates = set(organizations)
    proofs = [
        prove_candidate(one, referral_id, candidates, asked, salt) for one in asked if one in candidates
    ]
    return {
        proof.organization: plain(
            KeptProof(
                salt=base64_text.encoded(proof.salt),
                index=proof.index,
                size=proof.size,
                path=tuple(base64_text.encoded(digest) for digest in proof.path),
            )
        )
        for proof in proofs
    }


def kept_proof(kept: Mapping[str, Any], organization: str, referral_id: str) -> CandidateProof | None:
    """Return the organisation's proof; None if none was kept.

    Raises ValueError if it has another form. One with other values is returned: the reader finds that it does
    not fit the log.
    """
    if organization not in kept:
        return None
    proof = read(KeptProof, kept[organization])
    return CandidateProof(
        organization=organization,
        outcome=ASKED,
        referral_id=referral_id,
        salt=base64_text.decoded(proof.salt),
        index=proof.index,
        size=proof.size,
        path=tuple(base64_text.decoded(digest) for digest in proof.path),
    )
