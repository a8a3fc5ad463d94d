"""Invariants of every simulation when no message is left.

The facts that the services' transactions committed are the reference. The tables, the mailboxes and the log
must hold what these facts say, each once.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import select

from contracts.facts import AgreementChanged, NoteDelivered, ReferralAcceptorSuspended
from contracts.organization import Agreement, Organization
from contracts.part_id import part_id
from contracts.records import dump, read
from contracts.topology import CASES, EVENTS, RECEIPTS
from runtime.messaging.replica import ReplicaRecord
from services.audit.adapters.tables import ENTRIES
from services.audit.log.domain.entry import organizations_of
from services.audit.log.handlers.receipts import RECEIPTED
from services.delivery.adapters.tables import CASE_LETTERS, MESSAGES
from services.delivery.domain.closing import is_closed_later
from services.delivery.domain.recipients import COORDINATORS, RECIPIENTS, recipients_of
from services.intake.adapters.tables import OFFERS as INTAKE_OFFERS
from services.intake.adapters.tables import SUBMISSIONS
from services.routing.adapters.store import SqlReferralStore
from services.routing.adapters.stored_decisions import SqlStoredDecisions
from services.routing.adapters.tables import DECISIONS, OFFERS, REFERRALS
from services.routing.domain.coordination_queue import QueueFilter, QueueKind
from services.routing.domain.open_offers import TOP_UP_EVERY
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.recomputation import DirectoryChange, DirectoryStates
from services.routing.domain.stored_decision import DecisionSources
from services.vault.adapters.tables import ANSWERS, CUSTODIES, HELD_NOTES, SEALED_CASES
from services.vault.adapters.transit_keys import SqlTransitKeyStore
from services.vault.ports import KeyKind
from tests.simulation.broker import UnreliableBroker
from tests.simulation.databases import MemoryDatabase
from tests.simulation.partners import Partners
from tests.simulation.published_facts import PublishedFact, all_published_facts, rows_of
from tests.simulation.referral_rules import (
    ACCEPTANCE_ENDS,
    CLOSED,
    HELD,
    chains_lead_to_new_organizations,
    demand_adds_up,
    held_adds_up,
    observations_add_up,
    offers_follow_the_rules,
    referrals_match_facts,
    withdrawn_adds_up,
)
from tests.simulation.services import Audit, Routing, Service, Vault

# Each submission results in exactly one of these facts, or in its refusal.
_CONSEQUENCES: Mapping[str, frozenset[str]] = {
    "answer.submitted": frozenset({"offer.accepted", "offer.declined", "answer.refused"}),
    "progress.submitted": frozenset({"referral.progressed", "submission.refused"}),
    "outcome.submitted": frozenset({"referral.completed", "submission.refused"}),
    "withdrawal.submitted": frozenset({"referral.withdrawn", "submission.refused"}),
    "revocation.submitted": frozenset({"referral.withdrawn", "submission.refused"}),
    "hand_back.submitted": frozenset({"referral.handed_back", "hand_back.refused"}),
    "placement.submitted": frozenset({"offer.opened", "placement.refused"}),
    "intervention.submitted": frozenset({"intervention.applied", "intervention.refused"}),
    "coordinator_withdrawal.submitted": frozenset({"referral.withdrawn", "coordinator_withdrawal.refused"}),
    "note.submitted": frozenset({"sealed_note.released", "submission.refused"}),
}

_OFFER_ENDS = frozenset({"offer.declined", "offer.expired", "offer.revoked"})


def check(
    services: Mapping[str, Service], partners: Partners, broker: UnreliableBroker, now: dt.datetime
) -> None:
    """Check the invariants. Raises AssertionError with the rule and its subject."""
    databases = {name: service.database for name, service in services.items()}
    history = all_published_facts(databases)
    _no_message_is_left(broker, history)
    _every_submission_has_one_consequence(history)
    _explanations_follow_their_decisions(databases["vault"], history)
    referrals = rows_of(databases["routing"], REFERRALS)
    _everything_admitted_is_known(databases, partners, referrals)
    routing = services["routing"]
    assert isinstance(routing, Routing)
    referrals_match_facts(databases["routing"], history, referrals, routing.suspended, now)
    offers_follow_the_rules(history, routing.begins)
    chains_lead_to_new_organizations(history)
    observations_add_up(databases["routing"], history)
    demand_adds_up(databases["routing"], referrals)
    withdrawn_adds_up(databases["routing"], referrals)
    held_adds_up(databases["routing"], referrals)
    _routing_remembers_what_is_written(services["routing"])
    no_unplaced_referral_has_a_candidate(routing, now)
    everyone_is_awaited(routing, now)
    decisions_are_made_again(routing)
    _custody_follows_the_referral(databases, history, referrals)
    _mailboxes_hold_each_fact_once(databases["delivery"], history, referrals)
    vault = services["vault"]
    assert isinstance(vault, Vault)
    _keys_are_those_in_use(vault)
    audit = services["audit"]
    assert isinstance(audit, Audit)
    _log_equals_the_facts(audit, history)
    for service, database in databases.items():
        copies = database.values("SELECT count(*) FROM unreceipted")
        assert copies == [0], f"{service} has events without a receipt"


def _no_message_is_left(broker: UnreliableBroker, history: Sequence[PublishedFact]) -> None:
    assert broker.ready() == {}, f"left in the broker: {broker.ready()}"


def _keys_are_those_in_use(vault: Vault) -> None:
    """Each stored case has its key, and every replaced transit key has been closed with the true count."""
    cases = rows_of(vault.database, SEALED_CASES, key="referral_id").values()
    stored = vault.own_keys.secrets
    assert {case.key_id for case in cases} <= stored[KeyKind.case].keys(), "a case key was lost"
    with vault.database.read() as transaction:
        *replaced, newest = SqlTransitKeyStore().all(transaction)
    assert newest.kid in stored[KeyKind.transit], "the key that intake uses was destroyed"
    for key in replaced:
        assert key.opened == key.sealed, f"transit key {key.kid}: {key.sealed} sealed, {key.opened} opened"


def _everything_admitted_is_known(
    databases: Mapping[str, MemoryDatabase], partners: Partners, referrals: Mapping[str, Any]
) -> None:
    submitted = {
        row.referral_id for row in rows_of(databases["intake"], SUBMISSIONS, key="referral_id").values()
    }
    assert partners.referrals.keys() <= submitted, "a referral that was admitted is not on record"
    parts = {id_ for id_, referral in referrals.items() if referral.part_of is not None}
    assert referrals.keys() - parts == submitted, "routing knows other referrals than were admitted"
    assert parts == {
        part_id(whole.id, position)
        for whole in referrals.values()
        for position in range(1, (whole.parts or 0) + 1)
    }, "a part is missing, or belongs to no referral"
    for referral in referrals.values():
        allowed = {"offered", "unplaced", "split"} | HELD | CLOSED
        assert referral.status in allowed, f"{referral.id}: {referral.status}"
    noted = rows_of(databases["intake"], INTAKE_OFFERS).keys()
    assert noted == rows_of(databases["routing"], OFFERS).keys(), (
        "intake knows other offers than routing made"
    )


def _every_submission_has_one_consequence(history: Sequence[PublishedFact]) -> None:
    by_cause: dict[str, list[str]] = defaultdict(list)
    about = {one.message.id: one.message.partition_key for one in history}
    for one in history:
        cause = one.message.causation_id or ""
        # The referrals that a split has linked with this one follow it.
        if about.get(cause) in (None, one.message.partition_key):
            by_cause[cause].append(one.fact)
    for one in history:
        if expected := _CONSEQUENCES.get(one.fact):
            causes = [one.message.id]
            if one.fact == "note.submitted":  # the vault answers the letter, which the submission caused
                causes += [o.message.id for o in history if o.message.causation_id == one.message.id]
            found = [fact for cause in causes for fact in by_cause[cause] if fact in expected]
            assert len(found) == 1, f"{one.fact} {one.message.id} came to {found}"


def _explanations_follow_their_decisions(vault: MemoryDatabase, history: Sequence[PublishedFact]) -> None:
    """The note of a decline or hand-back is forwarded once, or refused to its author.

    It is never forwarded when the decline or the hand-back was refused.
    """
    by_cause: dict[str, Counter[str]] = defaultdict(Counter)
    for one in history:
        by_cause[one.message.causation_id or ""][one.fact] += 1
    for one in history:
        if one.fact != "sealed_note.submitted" or (
            one.data["offer_id"] is None and not one.data["hand_back"]
        ):
            continue
        decision = by_cause[one.message.causation_id or ""]
        found = by_cause[one.message.id]
        if decision["answer.refused"] or decision["hand_back.refused"]:
            assert not found["sealed_note.released"], (
                f"the note of refused answer or hand-back {one.message.id} was forwarded"
            )
        else:
            effects = decision["offer.declined"] + decision["referral.handed_back"]
            assert effects == 1, f"the submission of note {one.message.id} was not decided"
            ends = found["sealed_note.released"] + found["submission.refused"]
            assert ends == 1, f"note {one.message.id} had {ends} results"
    open_referrals = {
        c.referral_id
        for c in rows_of(vault, CUSTODIES, key="referral_id").values()
        if c.state not in ("erased", "refused")
    }
    assert not rows_of(vault, HELD_NOTES, key="submission_id"), "a note waits for a decision that was made"
    answered = rows_of(vault, ANSWERS, key="submission_id").values()
    assert {row.referral_id for row in answered} <= open_referrals, "a closed referral's answers are kept"


def _routing_remembers_what_is_written(routing: Service) -> None:
    assert isinstance(routing, Routing)
    with routing.database.read() as transaction:
        written = SqlReferralStore().observations(transaction)
    for organization, seen in written.items():
        remembered = routing.network.observed(organization)
        assert remembered == seen, f"{organization}: {seen} is written, {remembered} remembered"


def no_unplaced_referral_has_a_candidate(routing: Routing, now: dt.datetime) -> None:
    """After a restart routing looks at every unplaced referral, and opens no offer that it had missed.

    An emergency with fewer offers than wanted is topped up at its time, at most `TOP_UP_EVERY` later.
    """
    routing.start()
    seeking, offers = rows_of(routing.database, REFERRALS), rows_of(routing.database, OFFERS)
    routing.commands.decide_unplaced_again(now)
    opened = [offer for id_, offer in rows_of(routing.database, OFFERS).items() if id_ not in offers]
    missed = [offer for offer in opened if not _is_topped_up_soon(seeking[offer.referral_id], now)]
    assert not missed, f"a free place was left to nobody: {missed}"


def _is_topped_up_soon(referral: Any, now: dt.datetime) -> bool:
    is_short = referral.status == "offered" and referral.due_at is not None
    return is_short and now < referral.due_at <= now + TOP_UP_EVERY


def everyone_is_awaited(routing: Routing, now: dt.datetime) -> None:
    """Each open referral has an open offer, a time at which something is due, or a place in a queue."""
    store = SqlReferralStore()
    with routing.database.read() as transaction:
        queued = {
            one.id
            for kind in QueueKind
            for one in store.coordination_page(transaction, kind, now, QueueFilter(), after=None, limit=1_000)
        }
    offered = {
        offer.referral_id for offer in rows_of(routing.database, OFFERS).values() if offer.state == "open"
    }
    referrals = rows_of(routing.database, REFERRALS)
    for referral in referrals.values():
        if referral.status == "split":
            open_parts = [one for one in referrals.values() if one.part_of == referral.id]
            assert any(one.status not in CLOSED for one in open_parts), f"nobody acts on {referral.id}"
        elif referral.status not in CLOSED:
            is_awaited = referral.id in queued | offered or referral.due_at is not None
            assert is_awaited, f"nobody acts on {referral.id}, which is {referral.status}"
            assert referral.status != "unplaced" or referral.id in queued, f"{referral.id} is in no queue"


def _entry_of(record: ReplicaRecord) -> Organization | Agreement:
    """Return the organisation or the agreement of a record."""
    if record.type == AgreementChanged.type:
        return read(Agreement, record.data["agreement"])
    return read(Organization, record.data["organization"])


def decisions_are_made_again(routing: Routing) -> None:
    """Each stored decision follows from its record, its policy and the directory of its version.

    Whatever policies were applied, processes killed and organisations suspended in between.
    """
    entries = {record.change: record for record in routing.changes}
    states = DirectoryStates(
        [
            DirectoryChange(
                change=one.change,
                type=one.type,
                key=one.key,
                revision=one.data.get("revision", 0),
                digest=None,
            )
            for one in routing.changes
        ],
        lambda change: _entry_of(entries[change.change]),
    )
    stored = SqlStoredDecisions()
    with routing.database.read() as transaction:
        policies = {RoutingPolicy().version: RoutingPolicy(), **stored.policies(transaction)}
        sources = DecisionSources(
            referral_of=lambda id_: stored.referral(transaction, id_),
            policies=lambda: policies,
            directory_at=states.at,
        )
        found = [
            decision
            for id_ in transaction.execute(select(DECISIONS.c.id)).scalars().all()
            if (decision := stored.decision(transaction, id_)) is not None
        ]
        for decision in sorted(found, key=lambda one: (one.version, one.id)):
            if not decision.is_erased:
                again = dump(sources.again(decision))
                assert again == decision.record, f"decision {decision.id} does not follow from its record"


def _custody_follows_the_referral(
    databases: Mapping[str, MemoryDatabase], history: Sequence[PublishedFact], referrals: Mapping[str, Any]
) -> None:
    custodies = rows_of(databases["vault"], CUSTODIES, key="referral_id")
    sealed = rows_of(databases["vault"], SEALED_CASES, key="referral_id").keys()
    letters = rows_of(databases["delivery"], CASE_LETTERS, key="referral_id")
    erased = set[str]()
    released = Counter[str]()
    accepted, revoked = defaultdict[str, set[str]](set), defaultdict[str, list[str]](list)
    for one in history:
        referral = one.message.partition_key
        if one.fact == "case.erased":
            assert referral not in erased, f"the case of {referral} was erased twice"
            erased.add(referral)
        if one.fact == "offer.accepted":
            accepted[referral].add(one.data["organization"])
        if one.fact in ACCEPTANCE_ENDS:
            revoked[referral].append(one.data["organization"])
        if one.fact == "sealed_case.released":
            # Each end of an acceptance permits one more release. Routing's facts precede the vault's here.
            assert released[referral] <= len(revoked[referral]), (
                f"the case of {referral} left the vault twice"
            )
            assert referral not in erased, f"the case of {referral} left the vault after it was erased"
            released[referral] += 1
            assert one.data["organization"] in accepted[referral], f"{referral} went to a stranger"
    for referral in referrals.values():
        state = custodies[referral.id].state
        letter = letters.get(referral.id)
        if referral.status in CLOSED:
            assert state in ("erased", "refused"), f"{referral.id} is {referral.status}, its case {state}"
            assert referral.id not in sealed, f"{referral.id} is closed and its case is kept"
            assert letter is not None, f"delivery does not know that {referral.id} is closed"
            assert letter.sealed_case is None, f"{referral.id} is closed and delivery keeps its case"
        else:
            expected = "held" if referral.acceptor is None else "released"
            assert state == expected, f"{referral.id} is {referral.status}, its case {state}"
            assert (referral.part_of or referral.id) in sealed, f"the case of {referral.id} is lost"
            assert (letter and letter.organization) == referral.acceptor, (
                f"the case of {referral.id} lies elsewhere"
            )


def _mailboxes_hold_each_fact_once(
    delivery: MemoryDatabase, history: Sequence[PublishedFact], referrals: Mapping[str, Any]
) -> None:
    ended = {one.data["offer_id"] for one in history if one.fact in ACCEPTANCE_ENDS}
    expected: set[tuple[str, str]] = set()
    possible: set[tuple[str, str]] = set()
    for one in history:
        if one.exchange == EVENTS and one.message.type in RECIPIENTS:
            expected |= {(one.message.id, who) for who in recipients_of(one.message.type, one.data)}
        elif one.fact == "sealed_note.released" or one.fact == "receipts.issued":
            expected.add((one.message.id, one.data["organization"]))
        elif one.fact == "sealed_case.released":
            closed = referrals[one.message.partition_key].status in CLOSED or one.data["offer_id"] in ended
            (possible if closed else expected).add((one.message.id, one.data["organization"]))
    with delivery.read() as transaction:
        rows = transaction.execute(select(MESSAGES).order_by(MESSAGES.c.sequence)).all()
    found = [(row.message_id, row.organization) for row in rows]
    assert len(found) == len(set(found)), "a message lies in a mailbox twice"
    assert expected <= set(found), f"not delivered: {_named(expected - set(found), history)}"
    assert set(found) <= expected | possible, (
        f"delivered for no reason: {_named(set(found) - expected - possible, history)}"
    )
    _nothing_outlasts_its_end(rows, history, referrals)
    _in_order_of_publication(found, history)
    handed = Counter(
        (o.fact, o.data["message_id"], o.data["organization"]) for o in history if o.service == "delivery"
    )
    assert all(times == 1 for times in handed.values()), "a message was handed out or acknowledged twice"


def _nothing_outlasts_its_end(
    rows: Sequence[Any], history: Sequence[PublishedFact], referrals: Mapping[str, Any]
) -> None:
    ended = {one.data["offer_id"]: one.fact for one in history if one.fact in _OFFER_ENDS}
    for row in rows:
        closable = is_closed_later(row.type, row.organization)
        assert (row.content is not None) == closable, f"a {row.type} is {row.content}"
        assert (row.body == b"") == (row.closed_at is not None), f"{row.type} is {row.content}"
        if row.content != "open":
            continue
        if row.organization == COORDINATORS and row.type == ReferralAcceptorSuspended.type:
            noted = referrals[row.referral_id].acceptor_suspended_since
            assert noted is not None, f"{row.referral_id} left the queue and its alert is open"
        if row.offer_id is not None:
            assert row.offer_id not in ended, f"{row.offer_id} has ended and a mailbox keeps its content"
        if referrals[row.referral_id].status in CLOSED:
            assert row.closes_at is not None, f"{row.referral_id} is closed and a mailbox keeps its content"
            assert row.type == NoteDelivered.type, f"{row.referral_id} is closed and {row.type} is not"
            assert referrals[row.referral_id].status == "completed", f"a note of {row.referral_id} is kept"


def _in_order_of_publication(found: Iterable[tuple[str, str]], history: Sequence[PublishedFact]) -> None:
    said = {
        one.message.id: number
        for number, one in enumerate(history)
        if one.service == "routing" and one.exchange == EVENTS
    }
    by_owner: dict[str, list[int]] = defaultdict(list)
    for message_id, organization in found:
        if message_id in said:
            by_owner[organization].append(said[message_id])
    for organization, numbers in by_owner.items():
        assert numbers == sorted(numbers), f"{organization} heard of an end before the beginning"


def _log_equals_the_facts(audit: Audit, history: Sequence[PublishedFact]) -> None:
    head = audit.check()
    assert audit.published_size() == head.size, "entries are not published"
    with audit.database.read() as transaction:
        logged = list(transaction.execute(select(ENTRIES.c.message_id)).scalars())
    published = [one.message.id for one in history if one.exchange == EVENTS]
    assert len(logged) == len(set(logged)), "an entry stands in the log twice"
    assert set(logged) == set(published), "the log is not the set of published facts"
    receipts = Counter(
        (orjson.loads(receipt["head"])["message_id"], one.data["organization"])
        for one in history
        if one.fact == "receipts.issued"
        for receipt in one.data["receipts"]
    )
    due = Counter(
        (one.message.id, who)
        for one in history
        if one.exchange == EVENTS and one.message.type in RECEIPTED
        for who in organizations_of(one.data)
    )
    assert receipts == due, "receipts are missing, or were written twice"
    assert all(one.exchange in (EVENTS, CASES, RECEIPTS) for one in history)


def _named(places: Iterable[tuple[str, str]], history: Sequence[PublishedFact]) -> list[tuple[str, str]]:
    facts = {one.message.id: one.fact for one in history}
    return sorted((facts.get(message_id, message_id), who) for message_id, who in places)
