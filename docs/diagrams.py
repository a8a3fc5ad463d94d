"""Writes the generated parts of docs/journey.md: `python -m docs.diagrams [--check]`.

State diagrams (Mermaid) come from the services' literal transition tables; the tables of facts come from
the catalogue, the topology and delivery's list of recipients. A generated block stands between two marks:

    <!-- generated: referral -->
    <!-- /generated -->

Exit status: 0 written, or nothing differs; 1 with --check where a block has drifted; 2 wrong use.
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
from contracts.topology import ROUTING, ROUTING_PARTITIONED, Binding, hub_topology, topic_matches
from services.delivery.domain import delivery
from services.delivery.domain.recipients import COORDINATED, RECIPIENTS
from services.routing.domain.offer import OFFER_TRANSITIONS
from services.routing.domain.referral import REFERRAL_TRANSITIONS
from services.vault.domain import custody

PAGE = Path(__file__).parent / "journey.md"

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

_BLOCK = re.compile(r"<!-- generated: ([a-z]+) -->\n(.*?)<!-- /generated -->", re.DOTALL)

# Said by earlier versions, and read for ever.
NOBODY = "nobody any more"

# Who says each fact. The catalogue cannot know: it imports no service. A test holds this to the sources.
SPEAKERS: Mapping[type[Fact], str] = {
    facts.ReferralSubmitted: "intake",
    facts.AnswerSubmitted: "intake",
    facts.ProgressSubmitted: "intake",
    facts.OutcomeSubmitted: "intake",
    facts.WithdrawalSubmitted: "intake",
    facts.RevocationSubmitted: "intake",
    facts.NoteSubmitted: "intake",
    facts.UnreadableSubmitted: "intake",
    facts.ReplacementSubmitted: "intake",
    facts.PlacementSubmitted: "routing",
    facts.OfferOpened: "routing",
    facts.OfferAccepted: "routing",
    facts.OfferDeclined: "routing",
    facts.OfferExpired: "routing",
    facts.OfferRevoked: "routing",
    facts.AnswerRefused: "routing",
    facts.SubmissionRefused: "routing, vault",
    facts.PlacementRefused: "routing",
    facts.PlacementAnswered: "routing",
    facts.ReferralUnplaced: "routing",
    facts.ReferralProgressed: "routing",
    facts.ReferralCompleted: "routing",
    facts.ReferralWithdrawn: "routing",
    facts.ReferralFailed: "routing",
    facts.ReferralOverdue: "routing",
    facts.ReferralAcceptorSuspended: "routing",
    facts.CaseUnreadable: "routing",
    facts.NoteUnreadable: "routing",
    facts.CaseReleased: "vault",
    facts.CaseRefused: "vault",
    facts.CaseErased: "vault",
    facts.DeliveryDelivered: "delivery",
    facts.DeliveryAcknowledged: "delivery",
    facts.HistoryRead: "audit",
    facts.HistoryExported: "audit",
    facts.LogExported: "audit",
    facts.ReceiptsIssued: "audit",
    facts.ReceiptIssued: NOBODY,
    facts.OrganizationChanged: "directory",
    facts.AgreementChanged: "directory",
    facts.TokenKeyChanged: "directory",
    facts.ReplicaRequested: "every service with a copy of the directory",
    facts.ReplicaCompleted: "directory",
    facts.SealedCaseSubmitted: "intake",
    facts.SealedCaseReplaced: "intake",
    facts.SealedCaseReleased: "vault",
    facts.SealedNoteSubmitted: "intake",
    facts.SealedNoteReleased: "vault",
    facts.NoteDelivered: "delivery",
}

# These do not go by an exchange: straight to a queue, or nowhere.
STRAIGHT: Mapping[type[Fact], str] = {
    facts.ReceiptsIssued: "`delivery.events`, straight",
    facts.ReceiptIssued: "`delivery.events`, straight",
    facts.ReplicaCompleted: "the queue that asked, straight",
    facts.NoteDelivered: "nobody: it is made in the mailbox",
}


def diagram(start: S, transitions: Mapping[S, Mapping[E, S]]) -> str:
    """A Mermaid state diagram of a transition table. Events that every state but the ends has, with one
    target, are drawn once."""
    going = [events for events in transitions.values() if events]
    common = {
        event: target
        for event, target in going[0].items()
        # Of two states each is drawn: that shows more than it takes up.
        if len(going) > 2 and all(events.get(event) == target for events in going)
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


def takers(fact: type[Fact]) -> list[str]:
    """The queues that get a fact from the exchange it is published to, in the topology's order."""

    def routed(binding: Binding) -> bool:
        return binding.source == fact.exchange and topic_matches(binding.key, fact.routing_key)

    bindings = [binding for binding in hub_topology().bindings if routed(binding)]
    return [ROUTING if b.destination == ROUTING_PARTITIONED else b.destination for b in bindings]


def facts_table() -> str:
    """Every fact of the catalogue: who says it, and which queues take it."""
    rows = []
    for fact in CATALOGUE.values():
        exchange, taken = f"`{fact.exchange}`", ", ".join(f"`{queue}`" for queue in takers(fact))
        if fact in STRAIGHT:
            exchange, taken = "none", STRAIGHT[fact]
        rows.append((f"`{fact.routing_key}`", SPEAKERS[fact], exchange, taken))
    return _table(("fact", "said by", "exchange", "taken by"), rows)


def mailbox_table() -> str:
    """What arrives in a mailbox, and whose it is."""
    roles = {"sender": "the sender", "organization": "the organisation it concerns"}
    rows = []
    for kind, fields in RECIPIENTS.items():
        told = [roles[field] for field in fields]
        if kind in COORDINATED:
            reason = COORDINATED[kind]
            told.append(f"the coordinators where the reason is `{reason}`" if reason else "the coordinators")
        rows.append((f"`{CATALOGUE[kind].routing_key}`", ", ".join(told)))
    rows.append((f"`{facts.CaseReleased.routing_key}`", "the acceptor"))
    rows.append((f"`{facts.NoteDelivered.routing_key}`", "the other party; the sender for a decline's note"))
    return _table(("message", "in whose mailbox"), rows)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "facts": facts_table,
    "mailbox": mailbox_table,
    "referral": lambda: diagram(next(iter(REFERRAL_TRANSITIONS)), REFERRAL_TRANSITIONS),
    "offer": lambda: diagram(next(iter(OFFER_TRANSITIONS)), OFFER_TRANSITIONS),
    "delivery": lambda: diagram(delivery.DeliveryState.queued, delivery.TRANSITIONS),
    "custody": lambda: diagram(custody.CustodyState.awaited, custody.TRANSITIONS),
}


def rendered(page: str) -> str:
    """The page with every block written anew. Raises ValueError where a block is missing or unknown."""
    named = [match[1] for match in _BLOCK.finditer(page)]
    if sorted(named) != sorted(BLOCKS):
        raise ValueError(f"the page has the blocks {sorted(named)}; it should have {sorted(BLOCKS)}")
    return _BLOCK.sub(
        lambda match: f"<!-- generated: {match[1]} -->\n{BLOCKS[match[1]]()}\n<!-- /generated -->", page
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m docs.diagrams")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where something differs")
    options = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    wanted = rendered(page)
    if page == wanted:
        return 0
    if options.check:
        sys.stderr.write("docs/journey.md has drifted from the code: run `python -m docs.diagrams`.\n")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
