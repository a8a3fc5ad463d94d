"""Reads of persons' facts: how a resource treats them, who reads, and what an answer contains.

A coordinator, auditor or operator who reads facts of persons leaves an entry in the log, whatever the
resource. `@resource(..., reads=Reads.recorded)` publishes that entry before the answer leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from runtime.access.tokens import Principal

# The roles that read facts of persons without being a party to their referrals.
STAFF: Final = frozenset({"coordinator", "auditor", "operator"})


class Reads(StrEnum):
    """The facts of persons that a resource returns. Every GET resource declares one."""

    no_person = "no_person"  # none: public documents, the directory, hashes and proofs
    own = "own"  # only to the organisations that are parties to the referral
    recorded = "recorded"  # to staff too; the answer states its referrals in `Response.read`
    by_handler = "by_handler"  # the handler publishes its own fact about every read


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """The principal that reads, as a fact about the read names it. client_id: None if the token has none."""

    id: str
    client_id: str | None = None
    roles: tuple[str, ...] = ()

    @classmethod
    def of(cls, principal: Principal) -> Reader:
        """Return the reader that holds a token."""
        return cls(
            id=principal.id, client_id=principal.client_id or None, roles=tuple(sorted(principal.roles))
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """The referrals in an answer.

    filter: what the query asked for: codes, ids and times, never free text. is_about_one: whether the read
    becomes part of its referral's own history.
    """

    referral_ids: Sequence[str]
    filter: Mapping[str, str] = field(default_factory=dict)
    is_about_one: bool = False

    @classmethod
    def of_one(cls, referral_id: str, filter: Mapping[str, str] | None = None) -> Read:
        """Return the statement of an answer about a single referral. filter: what was asked about it."""
        return cls(referral_ids=(referral_id,), filter=filter or {}, is_about_one=True)

    @classmethod
    def of_list(cls, referral_ids: Sequence[str], filter: Mapping[str, str]) -> Read:
        """Return the statement of one page of a list."""
        return cls(referral_ids=referral_ids, filter=filter)

    @classmethod
    def of_figures(cls, filter: Mapping[str, str]) -> Read:
        """Return the statement of an answer with numbers that may stand for one person, without its id."""
        return cls(referral_ids=(), filter=filter)


# An answer without facts of any person, such as an empty page of a mailbox. It leaves no entry.
NOTHING_READ: Final = Read(referral_ids=())
