"""In each round of the event loop, few requests of one caller begin."""

from __future__ import annotations

import eventlet

from runtime.web.fair_turns import FairTurns


def begun(turns: FairTurns, arrivals: list[str]) -> list[tuple[int, str]]:
    """Let the callers arrive together; return who began in which round."""
    found: list[tuple[int, str]] = []
    rounds = [0]

    def request(caller: str) -> None:
        turns.wait(caller)
        found.append((rounds[0], caller))

    greenlets = [eventlet.spawn(request, caller) for caller in arrivals]
    while not all(one.dead for one in greenlets):
        eventlet.sleep(0)
        rounds[0] += 1
    return found


def test_requests_of_one_caller_that_arrive_together_begin_in_many_rounds() -> None:
    found = begun(FairTurns(2), ["flood"] * 10)
    assert len(found) == 10
    for number in {number for number, _ in found}:
        assert sum(one == (number, "flood") for one in found) <= 2
    assert len({number for number, _ in found}) >= 5


def test_request_of_another_caller_begins_at_once() -> None:
    found = begun(FairTurns(2), ["flood"] * 10 + ["other"])
    assert found.index(next(one for one in found if one[1] == "other")) == 2
    assert next(one for one in found if one[1] == "other")[0] == found[0][0]


def test_requests_of_one_caller_begin_in_the_order_of_their_arrival() -> None:
    turns, order = FairTurns(1), []

    def request(number: int) -> None:
        turns.wait("flood")
        order.append(number)

    for one in [eventlet.spawn(request, number) for number in range(6)]:
        one.wait()
    assert order == list(range(6))


def test_caller_that_has_waited_begins_at_once_in_a_later_round() -> None:
    turns = FairTurns(1)
    begun(turns, ["a"] * 3)
    for _ in range(4):
        eventlet.sleep(0)
    assert begun(turns, ["a"]) == [(0, "a")]
