"""The commitment to what happened to each candidate organisation of a decision.

The tree has one salted leaf for each organisation, so that one leaf can be shown and proved without the
others. docs/auditing.md documents it to the byte. A leaf is

    `kopuro-candidate/1\\n` || salt || {"organization": ..., "outcome": ..., "referral_id": ...}

in canonical JSON. outcome: `asked` or `not_asked`, never a reason, which may be a person's choice. The leaves
are in the order of their hashes, which the salts make random, so that a place says nothing about a rank. The
tree is that of RFC 6962.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

ASKED: Final = "asked"
NOT_ASKED: Final = "not_asked"

_DOMAIN: Final = b"kopuro-candidate/1\n"
_SALT_DOMAIN: Final = b"kopuro-candidate/1 salt\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateProof:
    """One opened leaf. index, size: its number and how many leaves there are. path: its sibling first."""

    organization: str
    outcome: str
    referral_id: str
    salt: bytes
    index: int
    size: int
    path: tuple[bytes, ...]


def candidates_root(
    referral_id: str, organizations: Iterable[str], asked: Collection[str], salt: bytes
) -> str | None:
    """Return `sha256:` and the hex of the tree's root; None without candidates.

    organizations: the candidates' organisations; repetitions do not count. salt: the decision's own.
    """
    leaves = sorted(
        _leaf_hash(referral_id, one, asked, leaf_salt(salt, one)) for one in dict.fromkeys(organizations)
    )
    return "sha256:" + _levels(leaves)[-1][0].hex() if leaves else None


def prove_candidate(
    organization: str, referral_id: str, organizations: Iterable[str], asked: Collection[str], salt: bytes
) -> CandidateProof:
    """Return the organisation's leaf with its path to the root. Raises ValueError if it is no candidate."""
    hashes = {
        one: _leaf_hash(referral_id, one, asked, leaf_salt(salt, one)) for one in dict.fromkeys(organizations)
    }
    if organization not in hashes:
        raise ValueError("the organisation is not among the decision's candidates")
    leaves = sorted(hashes.values())
    index = at = leaves.index(hashes[organization])
    path: list[bytes] = []
    for line in _levels(leaves)[:-1]:
        if (sibling := at ^ 1) < len(line):
            path.append(line[sibling])
        at >>= 1
    return CandidateProof(
        organization=organization,
        outcome=_outcome(organization, asked),
        referral_id=referral_id,
        salt=leaf_salt(salt, organization),
        index=index,
        size=len(leaves),
        path=tuple(path),
    )


def leaf_salt(salt: bytes, organization: str) -> bytes:
    """Return the salt of an organisation's leaf, which says nothing about the decision's or another's."""
    return hmac.digest(salt, _SALT_DOMAIN + organization.encode(), "sha256")


def _leaf_hash(referral_id: str, organization: str, asked: Collection[str], salt: bytes) -> bytes:
    # Neither id has a character that JSON escapes.
    said = (
        f'{{"organization":"{organization}","outcome":"{_outcome(organization, asked)}",'
        f'"referral_id":"{referral_id}"}}'
    )
    return sha256(b"\x00" + _DOMAIN + salt + said.encode()).digest()


def _outcome(organization: str, asked: Collection[str]) -> str:
    return ASKED if organization in asked else NOT_ASKED


def _levels(leaves: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Return the hashes of each level, the root's last. An unpaired last hash moves up unchanged."""
    levels = [leaves]
    while len(line := levels[-1]) > 1:
        above = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(line[0::2], line[1::2], strict=False)
        ]
        levels.append([*above, line[-1]] if len(line) % 2 else above)
    return levels
