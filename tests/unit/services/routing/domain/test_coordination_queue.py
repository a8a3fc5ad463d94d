"""The turns of senders in the coordinators' queues."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from contracts.codes import ReferralStatus, Urgency
from services.routing.domain.coordination_queue import TURN, position_in_queue, turns_of
from services.routing.domain.part_of import PartOf
from services.routing.domain.referral import Referral
from tests.unit.services.routing.samples import HOUR, NOW, SENDER, facts

OTHER = "kz.other"


def at(
    number: int, moment: dt.datetime, sender: str = SENDER, urgency: Urgency = Urgency.emergency
) -> Referral:
    return Referral(
        id=f"{number:036}",
        sender=sender,
        facts=facts(urgency=urgency),
        status=ReferralStatus.requested,
        submitted_at=moment,
        updated_at=moment,
        correlation_id="c",
    )


def test_first_referral_of_a_sender_keeps_the_time_of_its_submission() -> None:
    assert turns_of([one := at(1, NOW)], {}, {}) == {one.id: NOW}


def test_referrals_of_a_burst_are_a_turn_apart_in_the_order_of_their_submission() -> None:
    burst = [at(number, NOW + dt.timedelta(seconds=number)) for number in range(300)]
    turns = turns_of(burst[::-1], {}, {})
    assert [turns[one.id] for one in burst] == [NOW + number * TURN for number in range(300)]


def test_referral_of_another_sender_comes_after_as_many_as_there_were_turns() -> None:
    burst = [at(number, NOW) for number in range(300)]
    later = at(999, NOW + 5 * HOUR + dt.timedelta(minutes=1), OTHER)
    turns = turns_of([*burst, later], {}, {})
    assert sum(turns[one.id] < turns[later.id] for one in burst) == 6


def test_turn_follows_the_latest_open_one_of_the_same_sender_and_urgency() -> None:
    latest = {(SENDER, 0): NOW + 3 * HOUR, (SENDER, 1): NOW - 10 * HOUR}
    emergency, urgent = at(1, NOW), at(2, NOW, urgency=Urgency.urgent)
    routine, other = at(3, NOW, urgency=Urgency.routine), at(4, NOW, OTHER)
    assert turns_of([emergency, urgent, routine, other], latest, {}) == {
        emergency.id: NOW + 4 * HOUR,
        urgent.id: NOW,
        routine.id: NOW,
        other.id: NOW,
    }


def test_parts_have_the_turn_of_the_whole_and_take_none() -> None:
    whole = replace(at(1, NOW), turn_at=NOW + 2 * HOUR)
    parts = [
        replace(at(number, NOW), part=PartOf(referral_id=whole.id, position=number, count=2))
        for number in (2, 3)
    ]
    assert turns_of(parts, {(SENDER, 0): NOW}, {whole.id: whole}) == {one.id: whole.turn_at for one in parts}
    stored_before_turns = replace(whole, turn_at=None)
    assert turns_of(parts, {}, {whole.id: stored_before_turns}) == {one.id: NOW for one in parts}
    split_at_once = turns_of([whole, *parts], {(SENDER, 0): NOW}, {})
    assert set(split_at_once.values()) == {NOW + TURN}


def test_position_is_the_turn_and_without_one_the_time_of_the_submission() -> None:
    assert position_in_queue(at(1, NOW)).turn_at == NOW
    assert position_in_queue(replace(at(1, NOW), turn_at=NOW + HOUR)).turn_at == NOW + HOUR
