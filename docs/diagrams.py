"""Generator of parts of docs/journey.md and of the dashboards: `python -m docs.diagrams [--check]`.

State diagrams (Mermaid) come from the services' literal transition tables; the tables of facts come from
the catalogue, the topology and delivery's list of recipients. The Grafana dashboards in deploy/grafana come
from `docs/dashboards`. A generated block stands between two marks:

    <!-- generated: referral -->
    <!-- /generated -->

Exit status: 0 written, or nothing differs; 1 with --check where a block differs; 2 wrong use.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from contracts import facts
from contracts.facts import CATALOGUE, Fact
from contracts.topology import (
    ROUTING,
    ROUTING_PARTITIONED,
    Binding,
    hub_topology,
    owners_of,
    published_to,
    topic_matches,
)
from docs.dashboards import files
from services.delivery.domain import delivery
from services.delivery.domain.recipients import COORDINATED, RECIPIENTS
from services.delivery.webhooks.domain import endpoint, notice
from services.directory.domain import approval
from services.routing.domain.offer import OFFER_TRANSITIONS
from services.routing.domain.referral import REFERRAL_TRANSITIONS
from services.vault.domain import custody

PAGE = Path(__file__).parent / "journey.md"

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

_BLOCK = re.compile(r"<!-- generated: ([a-z]+) -->\n(.*?)<!-- /generated -->", re.DOTALL)

# Earlier versions published these facts. They stay readable.
NO_PUBLISHER = "no service (read only)"

# The publisher of each fact. The catalogue cannot know it: it imports no service. A test compares this
# with the sources.
PUBLISHERS: Mapping[type[Fact], str] = {
    facts.ReferralSubmitted: "intake",
    facts.AnswerSubmitted: "intake",
    facts.ProgressSubmitted: "intake",
    facts.OutcomeSubmitted: "intake",
    facts.HandBackSubmitted: "intake",
    facts.WithdrawalSubmitted: "intake",
    facts.RevocationSubmitted: "intake",
    facts.NoteSubmitted: "intake",
    facts.UnreadableSubmitted: "intake",
    facts.ReplacementSubmitted: "intake",
    facts.PlacementSubmitted: "routing",
    facts.InterventionSubmitted: "routing",
    facts.CoordinatorWithdrawalSubmitted: "routing",
    facts.OfferOpened: "routing",
    facts.OfferAccepted: "routing",
    facts.OfferDeclined: "routing",
    facts.OfferExpired: "routing",
    facts.OfferReminded: "routing",
    facts.OfferRevoked: "routing",
    facts.AnswerRefused: "routing",
    facts.SubmissionRefused: "routing, vault",
    facts.PlacementRefused: "routing",
    facts.InterventionRefused: "routing",
    facts.InterventionApplied: "routing",
    facts.CoordinatorWithdrawalRefused: "routing",
    facts.PlacementAnswered: "routing",
    facts.ReferralUnplaced: "routing",
    facts.ReferralProgressed: "routing",
    facts.ReferralCompleted: "routing",
    facts.ReferralWithdrawn: "routing",
    facts.ReferralFailed: "routing",
    facts.ReferralReferredOnward: "routing",
    facts.ReferralSplit: "routing",
    facts.ReferralRejoined: "routing",
    facts.PartOpened: "routing",
    facts.ReferralOverdue: "routing",
    facts.ReferralUnanswered: "routing",
    facts.AlertClosed: "routing",
    facts.CoordinationDigest: "routing",
    facts.ReferralAcceptorSuspended: "routing",
    facts.ReferralAcceptorDeclinedPart: "routing",
    facts.AcceptanceRevoked: "routing",
    facts.ReferralHandedBack: "routing",
    facts.HandBackRefused: "routing",
    facts.DirectoryCorrectionSuggested: "routing",
    facts.CaseUnreadable: "routing",
    facts.NoteUnreadable: "routing",
    facts.DecisionsRecorded: "routing",
    facts.StatementIssued: "routing",
    facts.RoutingPolicyApplied: "routing",
    facts.CaseReleased: "vault",
    facts.CaseRefused: "vault",
    facts.CaseErased: "vault",
    facts.CasePaused: "vault",
    facts.CaseRequested: "vault",
    facts.TransitKeyPublished: "vault",
    facts.TransitKeyClosed: "intake",
    facts.TransitKeyDestroyed: "vault",
    facts.DeliveryDelivered: "delivery",
    facts.DeliveryAcknowledged: "delivery",
    facts.ReferralRead: "every service that shows staff a referral: intake, routing, delivery",
    facts.CaseFetched: "delivery",
    facts.DeadLetterRead: "`kopuro admin dead-letters`",
    facts.HistoryRead: "audit",
    facts.HistoryExported: "audit",
    facts.ContentErased: "audit",
    facts.LogExported: "audit",
    facts.ReceiptsIssued: "audit",
    facts.EventsLogged: "audit",
    facts.ReceiptIssued: NO_PUBLISHER,
    facts.OrganizationChanged: "directory",
    facts.AgreementChanged: "directory",
    facts.TokenKeyChanged: "directory",
    facts.ClientChanged: "directory",
    facts.CredentialIssued: "directory",
    facts.CredentialRevoked: "directory",
    facts.CredentialTokensRevoked: "directory",
    facts.CredentialExpiring: "directory",
    facts.AccessRefused: "directory",
    facts.RoleGranted: "directory",
    facts.ApprovalRequested: "directory",
    facts.ApprovalEndorsed: "directory",
    facts.ApprovalGranted: "directory",
    facts.ApprovalRefused: "directory",
    facts.SealingKeyReplaced: "directory",
    facts.ServiceApprovalEnded: "directory",
    facts.ReplicaRequested: "every service with a copy of the directory",
    facts.ReplicaCompleted: "directory",
    facts.EmployerReported: "directory",
    facts.EmployerReportRetracted: "directory",
    facts.EmployerReplied: "directory",
    facts.WatchReportsChosen: "directory",
    facts.SealedReportSubmitted: "directory",
    facts.ApplicationSubmitted: "directory",
    facts.ApplicationDecided: "directory",
    facts.EmployerReportDelivered: "delivery",
    facts.SealedCaseSubmitted: "intake",
    facts.SealedCaseReplaced: "intake",
    facts.SealedCaseReleased: "vault",
    facts.SealedNoteSubmitted: "intake",
    facts.SealedNoteReleased: "vault",
    facts.NoteDelivered: "delivery",
    facts.SubmissionAdmitted: "delivery",
    facts.AlertsCounted: "delivery",
    facts.MessageClosed: "delivery",
    facts.WebhookChanged: "delivery",
    facts.WebhookFailing: "delivery",
}

# These facts use no exchange: they are published directly to a queue, or not at all.
DIRECT: Mapping[type[Fact], str] = {
    facts.ReceiptsIssued: "`delivery.events`, directly to the queue",
    facts.EventsLogged: "`<service>.receipts` of the author, directly to the queue",
    facts.ReceiptIssued: "`delivery.events`, directly to the queue",
    facts.ReplicaCompleted: "the requesting queue, directly",
    facts.NoteDelivered: "none: delivery writes it into the mailbox",
    facts.EmployerReportDelivered: "none: delivery writes it into the mailbox",
    facts.SubmissionAdmitted: "none: delivery writes it into the mailbox",
    facts.AlertsCounted: "none: delivery writes it into the mailbox",
    facts.MessageClosed: "none: delivery returns it instead of an erased message",
}


def diagram(start: S, transitions: Mapping[S, Mapping[E, S]]) -> str:
    """Return a Mermaid state diagram of a transition table.

    An event that leads from every state except the final ones to the same target is drawn once.
    """
    outgoing = [events for events in transitions.values() if events]
    common = {
        event: target
        for event, target in outgoing[0].items()
        # With two states each edge is drawn: this is clearer and hardly longer.
        if len(outgoing) > 2 and all(events.get(event) == target for events in outgoing)
    }
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start}"]
    for state, events in transitions.items():
        by_target: dict[S, list[str]] = {}
        for event, target in events.items():
            if event not in common:
                by_target.setdefault(target, []).append(event.value.replace("_", " "))
        lines += [f"    {state} --> {target}: {', '.join(names)}" for target, names in by_target.items()]
    if common:
        lines.append('    state "any state that is not an end" as anywhere')
        lines += [f"    anywhere --> {target}: {event}" for event, target in common.items()]
    lines += [f"    {state} --> [*]" for state, events in transitions.items() if not events]
    return "\n".join([*lines, "```"])


def consuming_queues(fact: type[Fact]) -> list[str]:
    """Return the queues that receive a fact from its exchange, in the topology's order."""

    def routed(binding: Binding) -> bool:
        return binding.source in sources and topic_matches(binding.key, fact.routing_key)

    sources = {published_to(fact.exchange, fact.routing_key, owner) for owner in owners_of(fact.routing_key)}
    bindings = [binding for binding in hub_topology().bindings if routed(binding)]
    names = [ROUTING if b.destination == ROUTING_PARTITIONED else b.destination for b in bindings]
    return list(dict.fromkeys(names))


def facts_table() -> str:
    """Return a table of all facts: publisher, exchange, consuming queues."""
    rows = []
    for fact in CATALOGUE.values():
        exchange, queues = f"`{fact.exchange}`", ", ".join(f"`{queue}`" for queue in consuming_queues(fact))
        if fact in DIRECT:
            exchange, queues = "none", DIRECT[fact]
        rows.append((f"`{fact.routing_key}`", PUBLISHERS[fact], exchange, queues))
    return _table(("fact", "published by", "exchange", "consumed by"), rows)


def mailbox_table() -> str:
    """Return a table of the messages that arrive in mailboxes, and their recipients."""
    roles = {
        "sender": "the sender",
        "organization": "the organisation it concerns",
        "recipients": "the organisations that received the report",
    }
    rows = []
    for kind, fields in RECIPIENTS.items():
        recipients = [roles[field] for field in fields]
        if kind in COORDINATED:
            reasons = " or ".join(f"`{reason}`" for reason in sorted(COORDINATED[kind] or ()))
            recipients.append(
                f"the coordinators if the reason is {reasons}" if reasons else "the coordinators"
            )
        rows.append(
            (f"`{CATALOGUE[kind].routing_key}`", ", ".join(recipients) or "nobody: it closes a message")
        )
    rows.append((f"`{facts.CaseReleased.routing_key}`", "the acceptor"))
    rows.append(
        (
            f"`{facts.NoteDelivered.routing_key}`",
            "the other party; the sender for the note of a decline or hand-back",
        )
    )
    rows.append(
        (f"`{facts.EmployerReportDelivered.routing_key}`", "each organisation that its evidence is sealed to")
    )
    rows.append((f"`{facts.SubmissionAdmitted.routing_key}`", "whoever submitted over AMQP"))
    rows.append((f"`{facts.AlertsCounted.routing_key}`", "the coordinators"))
    rows.append((f"`{facts.MessageClosed.routing_key}`", "whoever had received the erased message"))
    return _table(("message", "recipient"), rows)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "facts": facts_table,
    "mailbox": mailbox_table,
    "referral": lambda: diagram(next(iter(REFERRAL_TRANSITIONS)), REFERRAL_TRANSITIONS),
    "offer": lambda: diagram(next(iter(OFFER_TRANSITIONS)), OFFER_TRANSITIONS),
    "delivery": lambda: diagram(delivery.DeliveryState.queued, delivery.TRANSITIONS),
    "endpoint": lambda: diagram(endpoint.EndpointState.unverified, endpoint.TRANSITIONS),
    "notice": lambda: diagram(notice.NoticeState.waiting, notice.TRANSITIONS),
    "custody": lambda: diagram(custody.CustodyState.awaited, custody.TRANSITIONS),
    "approval": lambda: diagram(approval.State.requested, approval.TRANSITIONS),
}


def rendered(page: str) -> str:
    """Return the page with every block regenerated. Raises ValueError for a missing or unknown block."""
    named = [match[1] for match in _BLOCK.finditer(page)]
    if sorted(named) != sorted(BLOCKS):
        raise ValueError(f"the page has the blocks {sorted(named)}; it should have {sorted(BLOCKS)}")
    return _BLOCK.sub(
        lambda match: f"<!-- generated: {match[1]} -->\n{BLOCKS[match[1]]()}\n<!-- /generated -->", page
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m docs.diagrams")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a block differs")
    options = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    wanted = rendered(page)
    differing = files.differing()
    if options.check and differing:
        names = ", ".join(path.name for path in differing)
        sys.stderr.write(f"dashboards differ from the code ({names}): run `python -m docs.diagrams`.\n")
        return 1
    files.write()
    if page == wanted:
        return 0
    if options.check:
        sys.stderr.write("docs/journey.md differs from the code: run `python -m docs.diagrams`.\n")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
