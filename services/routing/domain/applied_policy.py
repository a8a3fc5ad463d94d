"""A policy as it was applied: one row of the append-only record of policies."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from contracts.facts import RoutingPolicyApplied
from services.routing.domain.policy_document import PolicyDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedPolicy:
    """number: from 1, without gaps; the highest one is in force. by: the login name of the operator."""

    number: int
    document: PolicyDocument
    by: str
    at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVersion:
    """A policy's record without its content, which may be damaged."""

    number: int
    version: str
    digest: str


def applied_fact(applied: AppliedPolicy, previous: str | None) -> RoutingPolicyApplied:
    """Return the fact that the policy took effect. previous: the version that it replaces."""
    return RoutingPolicyApplied(
        number=applied.number,
        version=applied.document.version,
        digest=applied.document.digest,
        policy=applied.document.content,
        by=applied.by,
        previous=previous,
    )
