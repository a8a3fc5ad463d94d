"""Invariants of referrals and offers, checked on the facts that routing published."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from contracts.codes import CONSENT_REVOKED, OPT_IN_KINDS, DeclineReason, InterventionReason
from contracts.facts import ReferralAcceptorSuspended
from services.routing.adapters.tables import (
    DEMAND,
    HELD_BY_SERVICE,
    OBSERVATIONS,
    OFFERS,
    TIMELINE,
    WAITING,
    WITHDRAWN_OFFERS,
)
from services.routing.consumer_lag import ANSWERS_UNDER_WAY
from services.routing.domain.chain import LONGEST_CHAIN
from services.routing.domain.ending import FAILED, WITHDRAWN
from services.routing.domain.lifecycle import ACCEPTOR_BARRED
from services.routing.domain.offer import ACCEPTED_ELSEWHERE, ORGANIZATION_SUSPENDED
from services.routing.domain.offer_closing import MOVED_ON
from services.routing.domain.withdrawn_offers import LONGEST, counted_at
from tests.simulation.databases import MemoryDatabase
from tests.simulation.network import KINDS
from tests.simulation.published_facts import PublishedFact, rows_of

CLOSED = frozenset({"completed", "withdrawn", "failed", "entered_in_error"})
HELD = frozenset({"accepted", "in_progress", "on_hold"})
_ANSWERS = frozenset({"offer.accepted", "offer.declined"})
_CLOSINGS = frozenset({"referral.completed", "referral.withdrawn", "referral.failed"})
# The facts that end an acceptance while the referral goes on.
ACCEPTANCE_ENDS = frozenset({"acceptance.revoked", "referral.handed_back"})
# The ends of a referral without an outcome, and why the offers that end with it are revoked.
_WITHOUT_OUTCOME = CLOSED - {"completed"}
_ENDED_WITH = frozenset({WITHDRAWN, CONSENT_REVOKED, FAILED, ACCEPTED_ELSEWHERE})
_OFFER_ENDS = _ANSWERS | {"offer.expired", "offer.revoked"}


@dataclass(slots=True)
class _Replayed:
    """A referral as replayed from its facts."""

    status: str = "requested"
    acceptor: str | None = None
    open_offers: set[str] = field(default_factory=set)
    # An answer in time that was read late still counts.
    expired_offers: set[str] = field(default_factory=set)
    # Whether the coordinators have an open alert about its suspended acceptor.
    is_reported: bool = False

    def take(self, one: PublishedFact) -> None:
        """Apply a fact. Raises AssertionError, or KeyError for an offer that had already ended."""
        if one.fact.endswith(".refused"):
            return
        if (
            one.fact == "referral.withdrawn"
            and one.data["reason"] == "consent_revoked"
            and self.status in CLOSED
        ):
            return  # the person withdrew the consent after the end, which stays as it was
        if one.fact == "referral.referred_onward" and self.status == "completed":
            assert self.acceptor == one.data["organization"], "referred onward by another organisation"
            return  # the acceptor refers the person onward when its own work is done
        assert self.status not in CLOSED, f"{one.fact} after it was {self.status}"
        match one.fact:
            case "referral.split":
                assert not self.open_offers, "split while somebody is asked"
                assert self.acceptor is None, "split while somebody has it"
                self.status = "split"
            case "referral.rejoined":
                assert self.status == "split", f"rejoined while {self.status}"
                self.status = "unplaced"
            case "referral.referred_onward":
                assert self.status in HELD, f"referred onward while {self.status}"
                assert self.acceptor == one.data["organization"], "referred onward by another organisation"
            case "offer.opened":
                self.status = "offered"
                self.open_offers.add(one.data["offer_id"])
            case "offer.accepted":
                assert self.acceptor is None, "accepted twice"
                self._answered(one.data["offer_id"])
                self.status, self.acceptor = "accepted", one.data["organization"]
            case "offer.declined":
                assert self.acceptor is None, "declined although another organisation had accepted"
                self._answered(one.data["offer_id"])
            case "offer.expired":
                self.open_offers.remove(one.data["offer_id"])
                self.expired_offers.add(one.data["offer_id"])
            case "offer.reminded":
                assert one.data["offer_id"] in self.open_offers, "a closed offer was reminded"
                assert one.message.time <= dt.datetime.fromisoformat(one.data["deadline"]), "reminded late"
            case "offer.revoked":
                self.open_offers.remove(one.data["offer_id"])
            case "acceptance.revoked":
                assert self.status in HELD, f"its acceptance was revoked while {self.status}"
                assert self.acceptor == one.data["organization"], "another acceptance was revoked"
                self.status, self.acceptor = "unplaced", None
            case "referral.handed_back":
                assert self.status in HELD, f"handed back while {self.status}"
                assert self.acceptor == one.data["organization"], "handed back by another organisation"
                self.status, self.acceptor = "requested", None
            case "referral.progressed":
                self.status = one.data["status"]
            case "referral.withdrawn" if one.data["reason"] == "entered_in_error":
                self.status, self.is_reported = "entered_in_error", False
            case "referral.unplaced" | "referral.completed" | "referral.withdrawn" | "referral.failed":
                self.status = one.fact.removeprefix("referral.")
                # The end of a referral closes all its messages.
                self.is_reported = self.is_reported and self.status not in CLOSED
            case "referral.overdue":
                assert self.status in HELD, f"overdue while {self.status}"
                assert dt.datetime.fromisoformat(one.data["due_at"]) <= one.message.time
            case "referral.unanswered":
                assert self.status == "offered", f"unanswered while {self.status}"
                assert self.open_offers, "nobody is asked"
            case "referral.acceptor_suspended":
                assert self.status in HELD, f"its acceptor is suspended while {self.status}"
                assert not self.is_reported, "one suspension was reported twice"
                self.is_reported = True
            case "alert.closed" if one.data["message_type"] == ReferralAcceptorSuspended.type:
                assert self.is_reported, "an alert was closed that was not open"
                self.is_reported = False

    def _answered(self, offer_id: str) -> None:
        (self.open_offers if offer_id in self.open_offers else self.expired_offers).remove(offer_id)


def referrals_match_facts(
    routing: MemoryDatabase,
    history: Sequence[PublishedFact],
    referrals: Mapping[str, Any],
    suspended: Collection[str],
    now: dt.datetime,
) -> None:
    """Each row and timeline equals the replay of the facts; open referrals have a pending deadline.

    A held referral is in the queue of suspended acceptors, and its alert is open, exactly while its acceptor
    is suspended.
    """
    facts: dict[str, list[PublishedFact]] = defaultdict(list)
    for one in history:
        if one.service == "routing" and not one.fact.endswith(".submitted"):
            facts[one.message.partition_key].append(one)
    offers: dict[str, dict[str, Any]] = defaultdict(dict)
    for offer in rows_of(routing, OFFERS).values():
        if offer.state == "open":
            offers[offer.referral_id][offer.id] = offer
    timelines = _timelines(routing)
    for referral in referrals.values():
        replayed = _Replayed()
        try:
            for one in facts[referral.id]:
                replayed.take(one)
            assert (referral.status, referral.acceptor) == (replayed.status, replayed.acceptor)
            assert offers[referral.id].keys() == replayed.open_offers, "open offers differ from the facts"
            assert bool(replayed.open_offers) == (replayed.status == "offered"), (
                "offered without an open offer"
            )
            for offer in offers[referral.id].values():
                assert offer.deadline > now - ANSWERS_UNDER_WAY, "an offer does not expire"
            assert referral.due_at is not None or referral.status not in HELD, "held without a due time"
            assert referral.due_at is None or referral.status not in CLOSED, f"due {referral.due_at}"
            assert referral.due_at is None or referral.due_at > now, "overdue without a published fact"
            noted = referral.acceptor_suspended_since is not None
            assert noted == (referral.status in HELD and referral.acceptor in suspended), "in the wrong queue"
            assert noted == replayed.is_reported, "the alert differs from the queue"
            assert timelines[referral.id] == [one.fact for one in facts[referral.id]], "another timeline"
        except (AssertionError, KeyError) as error:
            raise AssertionError(f"referral {referral.id} ({referral.status}): {error!r}") from error


def _timelines(routing: MemoryDatabase) -> dict[str, list[str]]:
    """Return the facts that routing published, as in each referral's timeline."""
    timelines: dict[str, list[str]] = defaultdict(list)
    with routing.read() as transaction:
        for row in transaction.execute(select(TIMELINE).order_by(TIMELINE.c.number)):
            if not row.fact.endswith(".submitted") and row.fact != "case.refused":
                timelines[row.referral_id].append(row.fact)
    return timelines


def offers_follow_the_rules(history: Sequence[PublishedFact], begins: Mapping[str, dt.date]) -> None:
    """No organisation gets an offer against consent, twice or without an agreement; answers in time count.

    begins: the days from which organisations have an agreement, if they have not always had one.
    """
    begins_with = ("referral.submitted", "part.opened")
    submitted = {o.message.partition_key: o.data["facts"] for o in history if o.fact in begins_with}
    whole_of = {o.data["referral_id"]: o.data["part_of"] for o in history if o.fact == "part.opened"}
    parts_of: dict[str, tuple[str, ...]] = {}
    refused_person: set[tuple[str, str]] = set()  # (whole referral, organisation)
    messages = {one.message.id: one for one in history}
    opened: dict[str, PublishedFact] = {}
    ended: set[str] = set()  # offers that no answer can change any more
    taken: set[str] = set()  # referrals that are accepted or closed
    asked: set[tuple[str, str]] = set()
    for one in history:
        cause = messages.get(one.message.causation_id or "")
        key = one.message.partition_key
        whole = whole_of.get(key, key)
        if one.fact == "referral.split":
            parts_of[key] = tuple(one.data["parts"])
        if one.data.get("reason") == DeclineReason.conflict_of_interest and one.fact == "offer.declined":
            refused_person.add((whole, one.data["organization"]))
        if one.fact == "offer.opened":
            assert (whole, one.data["organization"]) not in refused_person, "asked about a person again"
            opened[one.data["offer_id"]] = one
            _may_be_asked(one.data["organization"], submitted[one.message.partition_key]["consent"])
            place = one.message.partition_key, one.data["organization"]
            opened_on = dt.datetime.fromisoformat(one.data["opened_at"]).date()
            assert opened_on >= begins.get(one.data["organization"], opened_on), "asked without an agreement"
            by_hand = cause is not None and cause.fact == "placement.submitted"
            assert by_hand or place not in asked, f"asked twice: {place}"
            asked.add(place)
        elif one.fact in ACCEPTANCE_ENDS:
            taken.discard(one.message.partition_key)
            if one.data["reason"] == ORGANIZATION_SUSPENDED:
                asked.discard((one.message.partition_key, one.data["organization"]))
        elif one.fact in _OFFER_ENDS:
            offer = opened[one.data["offer_id"]].data
            if one.fact != "offer.expired":
                ended.add(offer["offer_id"])
            if one.fact == "offer.accepted":
                taken.add(one.message.partition_key)
            if one.data.get("reason") in {ACCEPTED_ELSEWHERE, ORGANIZATION_SUSPENDED}:
                # It never had its turn: after a hand-back, or once it is readmitted, it is asked again.
                asked.discard((one.message.partition_key, offer["organization"]))
            deadline = dt.datetime.fromisoformat(offer["deadline"])
            if one.fact == "offer.expired":
                assert one.message.time >= deadline, "an offer expired before its deadline"
            if one.fact in _ANSWERS:
                assert cause is not None
                assert cause.message.time <= deadline, "an answer that came late was taken"
                assert cause.data["organization"] == offer["organization"], "a stranger's answer was taken"
        elif one.fact == "answer.refused" and (refused := opened.get(one.data["offer_id"])) is not None:
            assert cause is not None
            late = cause.message.time > dt.datetime.fromisoformat(refused.data["deadline"])
            stranger = cause.data["organization"] != refused.data["organization"]
            # Once a part has an acceptor or has ended, no acceptance of the whole takes effect.
            family = (key, *parts_of.get(key, ()))
            lost = one.data["offer_id"] in ended or any(id_ in taken for id_ in family)
            barred = one.data["problem"]["detail"] == ACCEPTOR_BARRED
            assert late or stranger or lost or barred, "an answer in time was refused"
        elif one.fact in _CLOSINGS:
            taken.add(one.message.partition_key)


def chains_lead_to_new_organizations(history: Sequence[PublishedFact]) -> None:
    """An onward referral is offered to nobody that has had the case, unless its sender named that one.

    It has the consent that its own submission states (`offers_follow_the_rules`), and no chain is longer than
    LONGEST_CHAIN.
    """
    by_hand = {one.message.id for one in history if one.fact == "placement.submitted"}
    submitted = {o.message.partition_key: o.data for o in history if o.fact == "referral.submitted"}
    # A part continues the chain of the whole.
    whole_of = {o.data["referral_id"]: o.data["part_of"] for o in history if o.fact == "part.opened"}
    accepted: dict[str, list[str]] = defaultdict(list)
    holders: dict[str, set[str]] = {}
    lengths: dict[str, int] = {}
    for one in history:
        key = one.message.partition_key
        if one.fact == "offer.accepted":
            accepted[whole_of.get(key, key)].append(one.data["organization"])
        elif one.fact == "referral.referred_onward":
            earlier, onward = whole_of.get(key, key), one.data["onward"]
            assert submitted[onward]["onward_from"] == key, "another referral was linked"
            assert submitted[onward]["sender"] == one.data["organization"], "linked for another organisation"
            known = {submitted[earlier]["sender"], *accepted[earlier]}
            holders[onward] = holders.get(earlier, set()) | known
            lengths[onward] = lengths.get(earlier, 0) + 1
            assert lengths[onward] < LONGEST_CHAIN, "a chain is too long"
    for one in history:
        if one.fact != "offer.opened" or one.message.causation_id in by_hand:
            continue
        whole = whole_of.get(one.message.partition_key, one.message.partition_key)
        facts = submitted[whole]
        if facts.get("onward_from") is not None:
            assert whole in holders, "an onward referral without a link was offered"
        named = {facts["sender"], facts["facts"].get("to")}
        assert one.data["organization"] not in holders.get(whole, set()) - named, (
            f"{one.data['organization']} was asked again about a person that it has had"
        )


def _may_be_asked(organization: str, consent: Mapping[str, Any]) -> None:
    kind = KINDS.get(organization)
    opted = kind not in OPT_IN_KINDS or kind in consent["opt_in_kinds"]
    assert opted, f"{organization} was asked without the person's consent"
    assert organization not in consent["excluded_organizations"], f"{organization} was excluded"


def observations_add_up(routing: MemoryDatabase, history: Sequence[PublishedFact]) -> None:
    """The statistics of each organisation equal the sums over the facts."""
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    messages = {one.message.id: one for one in history}
    opened = {o.data["offer_id"]: o for o in history if o.fact == "offer.opened"}
    silent: set[str] = set()
    accepted_after: dict[str, int] = {}
    for one in history:
        match one.fact:
            case "offer.accepted" | "offer.declined":
                counts = expected[one.data["organization"]]
                counts["answered"] += 1
                began = dt.datetime.fromisoformat(opened[one.data["offer_id"]].data["opened_at"])
                answered = min(messages[one.message.causation_id or ""].message.time, one.message.time)
                if one.data["offer_id"] in silent:
                    counts["expired"] -= 1
                taken = max(0, round((answered - began).total_seconds()))
                counts["answer_seconds"] += taken
                if one.fact == "offer.accepted":
                    accepted_after[one.data["offer_id"]] = taken
            case "acceptance.revoked" | "referral.handed_back":
                counts = expected[one.data["organization"]]
                counts["returned"] += 1
                counts["answer_seconds"] -= accepted_after[one.data["offer_id"]]
            case "offer.expired":
                expected[one.data["organization"]]["expired"] += 1
                silent.add(one.data["offer_id"])
            case "offer.revoked" if one.data["reason"] == MOVED_ON:
                cause = messages[one.message.causation_id or ""].data
                offer = opened[one.data["offer_id"]].data
                began, deadline = (dt.datetime.fromisoformat(offer[at]) for at in ("opened_at", "deadline"))
                is_half_over = one.message.time - began >= deadline - one.message.time
                if cause["reason"] == InterventionReason.no_answer and is_half_over:
                    expected[one.data["organization"]]["expired"] += 1
    names = ("answered", "expired", "answer_seconds", "returned")
    asked: dict[str, dt.datetime] = {}
    for offer in rows_of(routing, OFFERS).values():
        asked[offer.organization] = max(asked.get(offer.organization, offer.opened_at), offer.opened_at)
    for organization, row in rows_of(routing, OBSERVATIONS, key="organization").items():
        found = {name: getattr(row, name) for name in names}
        assert found == {name: expected[organization][name] for name in names}, f"observed of {organization}"
        assert row.last_asked == asked.get(organization), f"{organization} was last asked at another time"
        del expected[organization]
    assert not any(any(counts.values()) for counts in expected.values()), f"not observed: {expected}"


def demand_adds_up(routing: MemoryDatabase, referrals: Mapping[str, Any]) -> None:
    """The demand at each service equals the open offers and the waiting referrals in the tables."""
    expected: dict[tuple[str, str, str, str], Counter[str]] = defaultdict(Counter)
    for offer in rows_of(routing, OFFERS).values():
        if offer.state == "open":
            referral = referrals[offer.referral_id]
            key = (offer.organization, offer.service, referral.sender, referral.facts["urgency"])
            expected[key]["offers"] += 1
    with routing.read() as transaction:
        waiting = {
            (row.organization, row.service, row.sender, row.urgency, row.referral_id)
            for row in transaction.execute(select(WAITING))
        }
        found = {
            (row.organization, row.service, row.sender, row.urgency): {
                "offers": row.offers,
                "waiting": row.waiting,
            }
            for row in transaction.execute(select(DEMAND))
        }
    for organization, service, sender, urgency, referral_id in waiting:
        assert referrals[referral_id].status == "unplaced", f"{referral_id} waits although it is not unplaced"
        expected[organization, service, sender, urgency]["waiting"] += 1
    assert found == {
        key: {"offers": counts["offers"], "waiting": counts["waiting"]} for key, counts in expected.items()
    }


def withdrawn_adds_up(routing: MemoryDatabase, referrals: Mapping[str, Any]) -> None:
    """The withdrawn offers counted are those that ended with their referral within a day of their opening."""
    expected = Counter[tuple[str, str, str, dt.datetime]]()
    offers = rows_of(routing, OFFERS).values()
    timelines = _timelines(routing)
    # Parts whose open offers ended because the whole was accepted.
    taken_together = {
        offer.referral_id
        for offer in offers
        if offer.reason == ACCEPTED_ELSEWHERE
        and "referral.rejoined" in timelines[referrals[offer.referral_id].part_of or ""]
        and offer.closed_at == referrals[offer.referral_id].updated_at
    }
    for offer in offers:
        referral = referrals[offer.referral_id]
        if referral.id in taken_together:
            continue
        if referral.status not in _WITHOUT_OUTCOME or referral.updated_at - offer.opened_at > LONGEST:
            continue
        held = offer.state == "accepted" and offer.organization == referral.acceptor
        if held or (offer.state == "revoked" and offer.reason in _ENDED_WITH):
            key = (offer.organization, referral.sender, referral.facts["urgency"])
            expected[*key, counted_at(offer.opened_at)] += 1
    with routing.read() as transaction:
        rows = transaction.execute(select(WITHDRAWN_OFFERS)).all()
    found = {(row.organization, row.sender, row.urgency, row.counted_at): row.offers for row in rows}
    assert found == dict(expected)


def held_adds_up(routing: MemoryDatabase, referrals: Mapping[str, Any]) -> None:
    """The accepted referrals counted at each service are those of its accepted offers."""
    expected = Counter(
        (offer.organization, offer.service)
        for offer in rows_of(routing, OFFERS).values()
        if offer.state == "accepted" and referrals[offer.referral_id].status in HELD
    )
    with routing.read() as transaction:
        rows = transaction.execute(select(HELD_BY_SERVICE)).all()
    assert {(row.organization, row.service): row.referrals for row in rows} == dict(expected)
