"""The values of rows: of referrals, offers, decisions and timeline entries, to and from the domain."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import orjson

from contracts.codes import Answer, OfferState, Outcome, ReferralStatus
from contracts.records import dump
from contracts.vocabularies import country_of, need_group
from runtime.storage.columns import microseconds, moment_of
from services.routing.domain.chain import Chain
from services.routing.domain.coordination_queue import priority_of
from services.routing.domain.offer import Offer
from services.routing.domain.part_of import PartOf
from services.routing.domain.recorded_decision import RecordedDecision
from services.routing.domain.reduced_facts import facts_of, is_reduced
from services.routing.domain.referral import Referral
from services.routing.domain.timeline import TimelineEntry

# A look-up takes a third of the time of a call of the enumeration.
_STATUSES: Final = {status.value: status for status in ReferralStatus}
_OFFER_STATES: Final = {state.value: state for state in OfferState}


def referral_values(referral: Referral, turn_at: dt.datetime) -> tuple[Any, ...]:
    """Return the values of `statements.NEW_REFERRAL`. turn_at: its turn in the coordinators' queues."""
    return (
        referral.id,
        referral.sender,
        dump(referral.facts).decode(),
        referral.correlation_id,
        referral.traceparent,
        microseconds(referral.submitted_at),
        need_group(referral.facts.needs[0]),
        country_of(referral.facts.region),
        microseconds(turn_at),
        *_chain_values(referral.chain),
        None if referral.part is None else referral.part.referral_id,
        *changing_values(referral),
    )


def changing_values(referral: Referral) -> tuple[Any, ...]:
    """Return the values of `statements.CHANGED_REFERRAL`, without the id."""
    return (
        referral.status.value,
        referral.acceptor,
        referral.outcome.value if referral.outcome else None,
        microseconds(referral.updated_at),
        optional_microseconds(referral.due_at),
        optional_microseconds(referral.overdue_since),
        optional_microseconds(referral.acceptor_suspended_since),
        priority_of(referral),
        referral.parts or None,
        referral.consent_revoked or None,
        _part_value(referral.part),
        orjson.dumps(dict(referral.left_out)).decode() if referral.left_out else None,
    )


def offer_values(offer: Offer) -> tuple[Any, ...]:
    """Return the values of `statements.NEW_OFFER`."""
    return (
        offer.id,
        offer.referral_id,
        offer.organization,
        offer.service,
        offer.rank,
        offer.state.value,
        microseconds(offer.opened_at),
        microseconds(offer.deadline),
        optional_microseconds(offer.closed_at),
        offer.reason,
        offer.placed_by,
        optional_microseconds(offer.nudged_at),
        microseconds(offer.step_at or offer.deadline),
    )


def decision_values(one: RecordedDecision) -> tuple[Any, ...]:
    """Return the values of a decision's row."""
    return (
        one.id,
        one.referral_id,
        microseconds(one.decided_at),
        one.record.decode(),
        one.salt,
        dump(one.asked).decode(),
        one.logged_in,
    )


def timeline_values(entry: TimelineEntry) -> tuple[Any, ...]:
    """Return the values of a timeline entry's row."""
    detail = dump(entry.detail).decode()
    return entry.referral_id, microseconds(entry.time), entry.fact, entry.organization, detail


def optional_microseconds(moment: dt.datetime | None) -> int | None:
    """Return the moment as it is stored."""
    return None if moment is None else microseconds(moment)


def optional_moment(value: int | None) -> dt.datetime | None:
    """Return the moment that is stored."""
    return None if value is None else moment_of(value)


def referral_of(
    id_: str,
    sender: str,
    status: str,
    acceptor: str | None,
    outcome: str | None,
    facts: str,
    correlation_id: str,
    traceparent: str | None,
    submitted_at: int,
    updated_at: int,
    due_at: int | None,
    overdue_since: int | None,
    onward_from: str | None,
    chain: str | None,
    part_of: str | None,
    part: str | None,
    parts: int | None,
    consent_revoked: bool | None,
    left_out: str | None,
    turn_at: int | None,
    acceptor_suspended_since: int | None,
    *,
    offers: tuple[Offer, ...],
    waits_for: frozenset[tuple[str, str]],
) -> Referral:
    """Return the referral of a row of `statements.VIEW`."""
    stored = orjson.loads(facts)
    return Referral(
        id=id_,
        sender=sender,
        facts=facts_of(stored),
        has_facts=not is_reduced(stored),
        status=_STATUSES[status],
        submitted_at=moment_of(submitted_at),
        updated_at=moment_of(updated_at),
        correlation_id=correlation_id,
        traceparent=traceparent,
        acceptor=acceptor,
        outcome=Outcome(outcome) if outcome else None,
        due_at=optional_moment(due_at),
        overdue_since=optional_moment(overdue_since),
        acceptor_suspended_since=optional_moment(acceptor_suspended_since),
        offers=offers,
        waits_for=waits_for,
        chain=_chain(onward_from, chain),
        part=stored_part(part_of, part),
        parts=parts or 0,
        consent_revoked=bool(consent_revoked),
        left_out=orjson.loads(left_out) if left_out else {},
        turn_at=optional_moment(turn_at),
    )


def _chain_values(chain: Chain | None) -> tuple[str | None, str | None]:
    if chain is None:
        return None, None
    rest = {"previous": chain.previous, "length": chain.length, "holders": chain.holders}
    return chain.onward_from, orjson.dumps(rest).decode()


def _chain(onward_from: str | None, rest: str | None) -> Chain | None:
    if onward_from is None or rest is None:
        return None
    stored = orjson.loads(rest)
    return Chain(onward_from=onward_from, **{**stored, "holders": tuple(stored["holders"])})


def _part_value(part: PartOf | None) -> str | None:
    if part is None:
        return None
    rest: dict[str, object] = {
        "position": part.position,
        "count": part.count,
        "asked": part.asked,
        "whole_needs": part.whole_needs,
    }
    if part.declined_as_full:  # earlier builds cannot read it
        rest["declined_as_full"] = {name: microseconds(at) for name, at in part.declined_as_full.items()}
    return orjson.dumps(rest).decode()


def stored_part(part_of: str | None, rest: str | None) -> PartOf | None:
    """Return what makes a stored referral a part; None for any other."""
    if part_of is None or rest is None:
        return None
    stored = orjson.loads(rest)
    lists = {name: tuple(stored.get(name, ())) for name in ("asked", "whole_needs")}
    # Missing in parts of earlier builds.
    full = {name: moment_of(at) for name, at in stored.get("declined_as_full", {}).items()}
    return PartOf(referral_id=part_of, **{**stored, **lists, "declined_as_full": full})


def part_without_needs(rest: str | None) -> str | None:
    """Return what is stored of a part without the needs of the whole referral."""
    return None if rest is None else orjson.dumps({**orjson.loads(rest), "whole_needs": ()}).decode()


def offer_of(
    id_: str,
    referral_id: str,
    organization: str,
    service: str,
    rank: int,
    state: str,
    opened_at: int,
    deadline: int,
    closed_at: int | None,
    reason: str | None,
    placed_by: str | None,
    nudged_at: int | None,
    acts_at: int,
    late_answer: str | None,
    late_at: int | None,
) -> Offer:
    """Return the offer of a row of `statements.OFFERS_OF`."""
    return Offer(
        id=id_,
        referral_id=referral_id,
        organization=organization,
        service=service,
        rank=rank,
        state=_OFFER_STATES[state],
        opened_at=moment_of(opened_at),
        deadline=moment_of(deadline),
        closed_at=optional_moment(closed_at),
        reason=reason,
        placed_by=placed_by,
        nudged_at=optional_moment(nudged_at),
        step_at=moment_of(acts_at) if acts_at != deadline else None,
        late_answer=None if late_answer is None else Answer(late_answer),
        late_at=optional_moment(late_at),
    )
