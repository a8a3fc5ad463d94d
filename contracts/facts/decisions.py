"""The commitments to routing's decisions, and its policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from marshmallow.validate import Length

from contracts.canonical import Count
from contracts.commitment import Commitment
from contracts.facts.fact import Fact, fact
from contracts.identifiers import MessageId, OrganizationId, Pattern, ShortText


@dataclass(frozen=True, kw_only=True, slots=True)
class CommittedDecision:
    """One routing decision. commitment: to its stored record, which names the versions of its inputs.

    candidates: to what happened to each candidate organisation, the root of a tree with one salted leaf for
    each (docs/auditing.md); None if there are no candidates, and in decisions of earlier builds.
    """

    decision_id: MessageId
    commitment: Commitment
    candidates: Commitment | None = None


@fact("decisions.recorded", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionsRecorded(Fact):
    """The decisions that routing stored in one transaction. Only for the log.

    A record rewritten later no longer opens its commitment. The fact says nothing about a person, so it
    outlives the erasure of a referral's content.
    """

    decisions: Annotated[tuple[CommittedDecision, ...], Length(min=1)]


@fact("statement.issued")
@dataclass(frozen=True, kw_only=True, slots=True)
class StatementIssued(Fact):
    """An organisation's statement of a month is ready.

    The log keeps its digest, so that all readers get the same.

    month: such as `2026-10`. digest: `sha256:` and the hexadecimal SHA-256 of the statement's canonical JSON
    (RFC 8785).
    """

    organization: OrganizationId
    month: Annotated[str, Pattern(r"^[0-9]{4}-[0-9]{2}$", error="Must be a month such as `2026-10`.")]
    digest: Commitment


@fact("routing_policy.applied", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingPolicyApplied(Fact):
    """A routing policy took effect. Later decisions name its version.

    number: 1 for a hub's first policy, one more for each later one. digest: hexadecimal SHA-256 of the
    policy's canonical JSON (RFC 8785). previous: the version that it replaces, None for the first. by: the
    login name at the operator's machine, or `routing` for the first policy, which the service stores itself.
    """

    number: Count
    version: ShortText
    digest: str
    policy: Mapping[str, Any]
    by: str
    previous: ShortText | None = None
