"""The commitment to what happened to each candidate organisation of a decision.

The tree has one salted leaf for each organisation, so that one leaf can be shown and proved without the
others. docs/auditing.md documents it to the byte. A leaf is

    `kopuro-candidate/1\\n` || salt || {"organization": ..., "outcome": ..., "referral_id": ...}

in canonical JSON. The salts are derived from the decision's own. outcome: `asked` or `not_asked`, never a
reason, which may be a person's choice. The leaves are in the order of their hashes, which the salts make
random, so that a place says nothing about a rank. The tree is that of RFC 6962.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256, shake_256
from typing import Final

ASKED: Final = "asked"
NOT_ASKED: Final = "not_asked"

_SALT: Final = 32
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
    """Return `sha256:` and the hex of the tree's root; None if there are no candidates.

    organizations: of the candidates; repetitions do not count. salt: the decision's own, 32 bytes.
    """
    leaves = sorted(_leaf_hashes(referral_id, sorted(set(organizations)), asked, salt))
    return "sha256:" + _levels(leaves)[-1][0].hex() if leaves else None


def prove_candidate(
    organization: str, referral_id: str, organizations: Iterable[str], asked: Collection[str], salt: bytes
) -> CandidateProof:
    """Return a candidate's leaf with its path to the root. Raises ValueError for other organisations."""
    names = sorted(set(organizations))
    if organization not in names:
        raise ValueError("the organisation is not among the decision's candidates")
    number = names.index(organization)
    hashes = _leaf_hashes(referral_id, names, asked, salt)
    leaves = sorted(hashes)
    index = at = leaves.index(hashes[number])
    path: list[bytes] = []
    for line in _levels(leaves)[:-1]:
        if (sibling := at ^ 1) < len(line):
            path.append(line[sibling])
        at >>= 1
    return CandidateProof(
        organization=organization,
        outcome=ASKED if organization in asked else NOT_ASKED,
        referral_id=referral_id,
        salt=_salts(salt, len(names))[number * _SALT : (number + 1) * _SALT],
        index=index,
        size=len(leaves),
        path=tuple(path),
    )


def _leaf_hashes(referral_id: str, names: Sequence[str], asked: Collection[str], salt: bytes) -> list[bytes]:
    """Return the hash of each organisation's leaf. names: in order."""
    salts = _salts(salt, len(names))
    # No id has a character that JSON escapes.
    ends = {
        outcome: f'","outcome":"{outcome}","referral_id":"{referral_id}"}}' for outcome in (ASKED, NOT_ASKED)
    }
    return [
        sha256(
            b"\x00kopuro-candidate/1\n"
            + salts[at : at + _SALT]
            + f'{{"organization":"{name}{ends[ASKED if name in asked else NOT_ASKED]}'.encode()
        ).digest()
        for at, name in zip(range(0, len(salts), _SALT), names, strict=True)
    ]


def _salts(salt: bytes, leaves: int) -> bytes:
    """Return the salts of the leaves, concatenated. They say nothing about the decision's salt."""
    return shake_256(_SALT_DOMAIN + salt).digest(_SALT * leaves)


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
