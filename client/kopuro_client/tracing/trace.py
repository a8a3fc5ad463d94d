"""A trace: what an id or key led to, its hops, and whose turn it is."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from kopuro_client.tracing.evidence import TraceRecords
from kopuro_client.tracing.hop import Hop, hops_of
from kopuro_client.tracing.next_action import NextAction, next_action


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """The trace of one id or key.

    asked: as it was given. referral: the referral's id, None if nothing was found. ids: of the submissions
    and messages that were asked for; empty for a referral. status: the referral's, None while routing does
    not know it or gave no answer. log_size: the entries that the newest checkpoint signs. silent: the
    services that gave no answer.
    """

    asked: str
    referral: str | None
    ids: frozenset[str]
    status: str | None
    next: NextAction
    hops: tuple[Hop, ...]
    log_size: int | None
    silent: tuple[str, ...]

    @classmethod
    def of(cls, asked: str, referral: str | None, ids: frozenset[str], evidence: TraceRecords) -> Trace:
        """Return the trace that the evidence shows."""
        return cls(
            asked=asked,
            referral=referral,
            ids=ids,
            status=None if evidence.referral is None else evidence.referral["status"],
            next=next_action(evidence),
            hops=hops_of(evidence),
            log_size=evidence.log_size,
            silent=tuple(sorted(evidence.silent)),
        )

    def is_asked(self, hop: Hop) -> bool:
        """Return whether the hop belongs to a submission or message that was asked for."""
        return hop.receipt.get("message") in self.ids

    def as_json(self) -> dict[str, Any]:
        """Return the trace as JSON values; times are RFC 3339."""
        return {
            "asked": self.asked,
            "referral": self.referral,
            "status": self.status,
            "next": {
                "owner": self.next.owner.value,
                "action": self.next.action.value,
                "organizations": list(self.next.organizations),
                "since": self.next.since,
                "until": self.next.until,
                "subject": self.next.subject,
            },
            "hops": [self._hop(hop) for hop in self.hops],
            "log_size": self.log_size,
            "silent": list(self.silent),
        }

    def _hop(self, hop: Hop) -> dict[str, Any]:
        return {
            "time": _rfc3339(hop.time),
            "service": hop.service,
            "step": hop.step,
            "about": hop.about,
            "organization": hop.organization,
            "receipt": dict(hop.receipt),
            "published": hop.published,
            "entry": hop.entry,
            "signed": hop.signed,
            "sentence": hop.sentence,
            "asked": self.is_asked(hop),
        }


def _rfc3339(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"
