"""A chain of onward referrals: each was submitted by the acceptor of the one before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# The most referrals in one chain, the first included.
LONGEST_CHAIN: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """The referrals that precede an onward referral, as they were when it was submitted.

    onward_from: the id of the referral before it, which its sender accepted. previous: the sender of that
    one. length: how many referrals precede it. holders: the organisations that have held the person's case in
    one of them, in order; they are not asked again.
    """

    onward_from: str
    previous: str
    length: int
    holders: tuple[str, ...]
