"""An instance has the shape of its template and other ids and times, the same ones in every service."""

from __future__ import annotations

import orjson

from benchmarks.loop_template import STRETCH, Loop, LoopInstance, LoopTemplate, read, written

REFERRAL = "01a20074-6372-7091-bc73-8146cc258ae7"
OFFER = "01a20074-6393-7580-8ece-c7261fad4faa"
BEGIN = read("2026-11-21T23:32:37.341896Z")
LOOP = Loop(begin=BEGIN, end=BEGIN + 4_000_000)
INSTANCE = LoopInstance(moment=read("2026-01-01T00:00:00.000000Z"), twist=0x1234_5678_9ABC)


def test_id_has_the_same_replacement_in_every_column_text_and_service() -> None:
    intake, routing = LoopTemplate(LOOP), LoopTemplate(LOOP)
    column, text = intake.take(REFERRAL), intake.take(f'{{"id":"{REFERRAL}","offer":"{OFFER}"}}')
    body = routing.take(f"of {REFERRAL}".encode())

    renamed = intake.values(INSTANCE)[column]

    assert renamed != REFERRAL
    assert orjson.loads(intake.values(INSTANCE)[text])["id"] == renamed
    assert routing.values(INSTANCE)[body] == f"of {renamed}".encode()


def test_casts_differ_and_their_ids_tell_their_time() -> None:
    template = LoopTemplate(LOOP)
    slot = template.take(REFERRAL)
    later = LoopInstance(moment=INSTANCE.moment + 86_400_000_000, twist=INSTANCE.twist)

    first, second = template.values(INSTANCE)[slot], template.values(later)[slot]

    assert first < second
    assert abs(int(first.replace("-", "")[:12], 16) - INSTANCE.moment // 1000) < 100 * STRETCH
    assert first[14] == "7"
    assert first[19] in "89ab"


def test_moments_keep_their_order_and_deadlines_their_distance() -> None:
    template = LoopTemplate(LOOP)
    at_first = template.moment(BEGIN)
    a_second_on = template.take(f'{{"at":"{written(BEGIN + 1_000_000)}"}}')
    deadline = template.moment(BEGIN + 86_400_000_000)

    values = template.values(INSTANCE)

    assert values[at_first] == INSTANCE.moment
    assert orjson.loads(values[a_second_on])["at"] == written(INSTANCE.moment + 1_000_000 * STRETCH)
    assert values[deadline] == INSTANCE.moment + 86_400_000_000


def test_everything_else_stays_as_it_was() -> None:
    template = LoopTemplate(LOOP)
    kept = ["100 % sure", b"\x00\x7f", 1, True, None, "2026-01-28T06:47:00Z", f"{REFERRAL} at 100 %"]
    slots = [template.take(value) for value in kept[:-1]]
    mixed = template.take(kept[-1])

    values = template.values(INSTANCE)

    assert [values[slot] for slot in slots] == kept[:-1]
    assert [type(values[slot]) for slot in slots] == [type(value) for value in kept[:-1]]
    assert values[mixed].endswith(" at 100 %")
