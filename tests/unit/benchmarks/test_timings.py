"""Latencies between the steps of a referral."""

from __future__ import annotations

from benchmarks.timings import Timings


def test_latency_is_measured_between_the_ends_of_a_step() -> None:
    timings = Timings(submitted={"a": 1.0, "b": 2.0}, offered={"a": 1.5, "b": 2.25}, closed={"a": 4.0})

    found = timings.latencies()

    assert sorted(found["submit_to_offer"]) == [0.25, 0.5]
    assert found["submit_to_closed"] == [3.0]
    assert found["accept_to_confirmation"] == []


def test_offer_may_arrive_before_the_response_of_intake() -> None:
    timings = Timings(offered={"a": 1.5})
    assert timings.latencies()["submit_to_offer"] == []

    timings.submitted["a"] = 1.0
    assert timings.latencies()["submit_to_offer"] == [0.5]


def test_referral_is_unfinished_until_every_step_has_arrived() -> None:
    seen = {"a": 2.0}
    timings = Timings(submitted={"a": 1.0}, offered=seen, accepted=seen, progressed=seen, closed=seen)
    assert timings.unfinished() == {"a"}

    timings.completed["a"] = 3.0
    assert timings.unfinished() == set()


def test_warm_up_is_not_counted() -> None:
    timings = Timings(submitted={"cold": 1.0, "warm": 10.0}, offered={"cold": 9.0, "warm": 10.5})

    assert timings.latencies(since=5.0)["submit_to_offer"] == [0.5]


def test_period_of_the_run_is_counted_separately() -> None:
    timings = Timings(submitted={"a": 1.0, "b": 10.0}, offered={"a": 1.25, "b": 10.5})

    assert timings.latencies(0.0, 10.0)["submit_to_offer"] == [0.25]
    assert timings.latencies(10.0)["submit_to_offer"] == [0.5]
