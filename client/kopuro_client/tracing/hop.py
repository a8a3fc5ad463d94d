"""The hops of a referral: each step that a service of the hub has recorded, with its receipt."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kopuro_client.records import MessageState
from kopuro_client.tracing.evidence import Logged, TraceRecords, moment_of, short_fact

# Reads are not steps of the referral; `kopuro readers` lists them.
_READS: Final = frozenset({"history.read", "history.exported", "log.exported", "referral.read"})
# The order of steps at the same moment.
_SERVICES: Final = ("intake", "routing", "vault", "delivery")
_SUBMITTED: Final = ".submitted"
_OF_THE_VAULT: Final = frozenset(
    {"case.released", "case.refused", "case.paused", "case.requested", "case.erased"}
)
_DELIVERIES: Final = "delivery."


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """One step.

    service: the one that recorded it: intake, routing, vault or delivery. step: a fact such as
    `offer.opened`, or for a message `queued`, `delivered`, `acknowledged`, `closed` or `webhook`. about: the
    fact that the message carries. receipt: ids and codes that prove or explain the step: message, offer,
    onward (the other end of an onward referral), parts and part_of (the other ends of a split), reason,
    endpoint, state, attempts, next_attempt. published: for a submission, whether the broker has it. entry:
    its index in the audit log, None while it has none or for a step that is not logged. signed: whether the
    newest checkpoint covers the entry. sentence: what the entry says, in the language that was asked for.
    """

    service: str
    step: str
    time: dt.datetime
    organization: str | None = None
    about: str | None = None
    receipt: Mapping[str, str] = field(default_factory=dict)
    published: bool | None = None
    entry: int | None = None
    signed: bool = False
    sentence: str | None = None


def hops_of(evidence: TraceRecords) -> tuple[Hop, ...]:
    """Return every step that the evidence shows, in the order of time.

    A step that two services know, such as a submission in intake, routing and the log, is one hop: the log
    repeats an event's fact and time exactly.
    """
    logged = _logged(evidence)
    hops = [*_submissions(evidence), *_decisions(evidence), *_messages(evidence)]
    found = []
    for hop in hops:
        fact = f"{_DELIVERIES}{hop.step}" if hop.about is not None else hop.step
        # Several offers may open at one moment; the log has them in routing's order.
        if entries := logged.get((fact, hop.time)):
            hop = _with_entry(hop, entries.pop(0), evidence)
        found.append(hop)
    for (fact, time), entries in logged.items():
        # Without delivery's own answer the log says what was delivered.
        if not fact.startswith(_DELIVERIES) or "delivery" in evidence.silent:
            found += [
                _with_entry(Hop(service=_service_of(fact), step=fact, time=time), entry, evidence)
                for entry in entries
            ]
    return tuple(sorted(found, key=lambda hop: (hop.time, _SERVICES.index(hop.service))))


def _submissions(evidence: TraceRecords) -> Iterator[Hop]:
    for one in evidence.submissions:
        yield Hop(
            service="intake",
            step=one["fact"],
            time=moment_of(one["admitted_at"]),
            organization=one["organization"],
            receipt={"message": one["id"]},
            published=one["published"],
        )


def _decisions(evidence: TraceRecords) -> Iterator[Hop]:
    """Yield the steps of the timeline that intake's own answer does not contain."""
    known = {(one["fact"], moment_of(one["admitted_at"])) for one in evidence.submissions}
    for step in evidence.timeline:
        place = (step["fact"], moment_of(step["time"]))
        if place in known:
            continue
        detail = step["detail"] or {}
        shown = {
            "offer": detail.get("offer_id"),
            "onward": detail.get("onward") or detail.get("onward_from"),
            "parts": " ".join(detail.get("parts") or ()) or None,
            "part_of": detail.get("part_of"),
            "reason": detail.get("reason"),
        }
        yield Hop(
            service=_service_of(step["fact"]),
            step=step["fact"],
            time=place[1],
            organization=step["organization"],
            receipt={name: value for name, value in shown.items() if isinstance(value, str)},
        )


def _messages(evidence: TraceRecords) -> Iterator[Hop]:
    for message in evidence.messages:
        about = short_fact(message["type"])
        steps = {
            "queued": message["queued_at"],
            "delivered": message["delivered_at"],
            "acknowledged": message["acknowledged_at"],
            "closed": message["closed_at"],
        }
        for step, time in steps.items():
            if time is not None:
                yield _of_message(message, about, step, moment_of(time))
        for told in message["webhooks"]:
            hop = _of_message(message, about, "webhook", moment_of(message["queued_at"]))
            receipt = {
                **hop.receipt,
                "endpoint": told["endpoint_id"],
                "state": told["state"],
                "attempts": str(told["attempts"]),
            }
            if told["next_attempt_at"] is not None:
                receipt["next_attempt"] = told["next_attempt_at"]
            yield replace(hop, receipt=receipt)


def _of_message(message: MessageState, about: str, step: str, time: dt.datetime) -> Hop:
    return Hop(
        service="delivery",
        step=step,
        time=time,
        organization=message["organization"],
        about=about,
        receipt={"message": message["message_id"]},
    )


def _logged(evidence: TraceRecords) -> dict[tuple[str, dt.datetime], list[Logged]]:
    """Return (fact, time) -> its log entries, without reads of the history."""
    found: dict[tuple[str, dt.datetime], list[Logged]] = defaultdict(list)
    for one in evidence.entries:
        if one.fact not in _READS:
            found[one.fact, one.time].append(one)
    return found


def _with_entry(hop: Hop, entry: Logged, evidence: TraceRecords) -> Hop:
    signed = evidence.log_size is not None and entry.index < evidence.log_size
    return replace(hop, entry=entry.index, signed=signed, sentence=entry.sentence)


def _service_of(fact: str) -> str:
    if fact.endswith(_SUBMITTED):
        return "intake"
    if fact.startswith(_DELIVERIES) or fact == "case.fetched":
        return "delivery"
    return "vault" if fact in _OF_THE_VAULT else "routing"
