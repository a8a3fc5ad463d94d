"""The work with submissions: batches, pauses, rates, and the bytes in hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry

from runtime.messaging.ports import BrokerUnavailable
from services.gateway.domain.in_hand import MOST_IN_HAND
from services.gateway.gateway_metrics import GatewayMetrics
from services.gateway.ports import Result
from services.gateway.submission_processor import Received, SubmissionProcessor, Verdict
from services.gateway.submission_work import SubmissionWork
from tests.journey.waiting import until
from tests.unit.services.gateway.doubles import OSH, HubInMemory


class SubmissionsInMemory:
    """See `submission_work.Submissions`. held: by tag."""

    def __init__(self, *received: Received) -> None:
        self.held = dict(enumerate(received))
        self.dead_letters = 0
        self.waiting: dict[str, int] = {}
        self.given: set[int] = set()
        self.available = True
        self.handed_back: list[tuple[str, list[int]]] = []
        self.paused: set[str] = set()

    def take(self, seconds: float) -> list[tuple[int, Received]]:
        if not self.available:
            raise BrokerUnavailable("down")
        new = [
            (tag, received)
            for tag, received in self.held.items()
            if tag not in self.given and received.organization not in self.paused
        ]
        self.given |= {tag for tag, _ in new}
        return new

    def settle(self, verdicts: list[tuple[int, Verdict]]) -> None:
        for tag, verdict in verdicts:
            self.given.discard(tag)
            if verdict is not Verdict.retried:
                del self.held[tag]
            if verdict is Verdict.dead_letter:
                self.dead_letters += 1

    def hand_back(self, organization: str, tags: Sequence[int]) -> None:
        self.handed_back.append((organization, list(tags)))
        self.given -= set(tags)
        self.paused.add(organization)

    def close(self) -> None:
        self.held.clear()


def spawned(work: Callable[[], None]) -> object:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def submission(key: str, organization: str = OSH) -> Received:
    body = b'{"submit":"accept","offer_id":"o"}'
    return Received(organization=organization, body=body, user_id=organization, message_id=key)


def test_batch_is_settled_by_its_verdicts() -> None:
    hub, submissions = HubInMemory(), SubmissionsInMemory(submission("a"), submission("b"))
    now = [0.0]
    processor = SubmissionProcessor(hub, GatewayMetrics(CollectorRegistry()))
    work = SubmissionWork(submissions, processor, clock=lambda: now[0])
    hub.available = False
    assert work.turn() == {Verdict.retried}
    assert len(submissions.held) == 2
    hub.available = True
    assert work.turn() == frozenset()  # the organisation's pause
    now[0] = 1.0
    assert work.turn() == {Verdict.answered}
    assert submissions.held == {}
    assert work.turn() == frozenset()
    assert work.alarm() is None
    hub.admitted = False
    submissions.held[2] = submission("c")
    assert work.turn() == {Verdict.dead_letter}
    assert work.alarm() == "1 submissions in submissions.parked have no answer."


def test_submissions_wait_while_the_hub_takes_none_and_while_more_come_than_it_takes() -> None:
    hub, submissions = HubInMemory(), SubmissionsInMemory(submission("a"))
    now = [100.0]
    processor = SubmissionProcessor(hub, GatewayMetrics(CollectorRegistry()))
    work = SubmissionWork(submissions, processor, clock=lambda: now[0])
    hub.available = False
    work.turn()
    now[0] += 90
    work.turn()
    assert work.waiting_seconds() == 90
    hub.available, submissions.waiting = True, {OSH: 250}
    work.turn()
    now[0] += 30
    assert work.waiting_seconds() == 120  # a backlog of an outage continues to count from its beginning
    submissions.held[1], submissions.waiting = submission("b"), {}
    work.turn()
    assert work.waiting_seconds() == 0


def test_organization_beyond_its_rate_is_paced_in_order_and_delays_nobody() -> None:
    hub = HubInMemory(left={OSH: 1})
    submissions = SubmissionsInMemory(submission("a"), submission("b"), submission("c"))
    now = [0.0]
    processor = SubmissionProcessor(hub, GatewayMetrics(CollectorRegistry()))
    work = SubmissionWork(submissions, processor, clock=lambda: now[0])
    assert work.turn() == {Verdict.answered, Verdict.paced}
    assert list(submissions.held) == [1, 2]
    # A later submission of the same organisation waits behind the others; another organisation's is answered.
    submissions.held |= {3: submission("d"), 4: submission("e", "ru.moscow-union")}
    submissions.waiting = {OSH: 1_900}
    hub.left[OSH] = 10
    assert work.turn() == {Verdict.answered}
    assert list(hub.taken) == ["a", "e"]
    now[0] = 60.0
    assert work.waiting_seconds() == 0
    assert work.turn() == {Verdict.answered}
    assert list(hub.taken) == ["a", "e", "b", "c", "d"]
    assert submissions.held == {}


def large(key: str, organization: str) -> Received:
    body = b'{"submit":"accept","offer_id":"' + b"o" * 1_000_000 + b'"}'
    return Received(organization=organization, body=body, user_id=organization, message_id=key)


def test_submissions_beyond_the_bytes_in_hand_wait_in_their_queue_and_keep_their_order_and_pause() -> None:
    others = [f"ru.union-{number}" for number in range(4)]
    hub = HubInMemory(left=dict.fromkeys(others, 0))
    submissions = SubmissionsInMemory()
    submissions.held = {
        number: large(f"{number}", others[number // 20]) for number in range(20 * len(others))
    }
    now = [0.0]
    processor = SubmissionProcessor(hub, GatewayMetrics(CollectorRegistry()))
    work = SubmissionWork(submissions, processor, clock=lambda: now[0])
    work.turn()
    assert submissions.handed_back
    in_hand = sum(len(submissions.held[tag].body) for tag in submissions.given)
    assert in_hand <= MOST_IN_HAND
    for organization, tags in submissions.handed_back:
        assert tags == sorted(tags)
        assert {submissions.held[tag].organization for tag in tags} == {organization}
    # A small one of another organisation is answered meanwhile.
    submissions.held[100] = submission("small")
    assert Verdict.answered in work.turn()
    assert list(hub.taken) == ["small"]
    # Later everything is answered, in order.
    hub.left = {}
    for _ in range(3 * len(others)):
        submissions.paused.clear()
        now[0] += 120.0
        work.turn()
    assert submissions.held == {}
    for number, organization in enumerate(others):
        keys = [key for key in hub.taken if key != "small" and int(key) // 20 == number]
        assert keys == [str(20 * number + place) for place in range(20)], organization


class SlowHub(HubInMemory):
    """A hub in which the requests of one organisation wait until they are released."""

    def __init__(self, slow: str) -> None:
        super().__init__()
        self.slow = slow
        self.let_go = threading.Event()

    def submit(self, organization: str, lines: Sequence[bytes], *, referrals: bool) -> list[Result]:
        if organization == self.slow:
            self.let_go.wait(30)
        return super().submit(organization, lines, referrals=referrals)


def test_organization_for_which_the_hub_is_slow_delays_no_other() -> None:
    hub = SlowHub(OSH)
    submissions = SubmissionsInMemory(submission("a"))
    work = SubmissionWork(submissions, SubmissionProcessor(hub, GatewayMetrics(CollectorRegistry())))
    work._spawn = spawned
    try:
        assert work.turn() == frozenset()
        submissions.held |= {1: submission("b"), 2: submission("c", "ru.moscow-union")}
        until(lambda: Verdict.answered in work.turn(), "the other organisation is answered")
        assert list(hub.taken) == ["c"]
    finally:
        hub.let_go.set()
    until(lambda: work.turn() is not None and not submissions.held, "both are answered")
    assert list(hub.taken) == ["c", "a", "b"]


def test_organization_for_which_the_hub_is_unavailable_lets_no_other_pause() -> None:
    hub = HubInMemory()
    bad = Received(
        organization=OSH, body=b'{"submit":"accept","unavailable":true}', user_id=OSH, message_id="a"
    )
    submissions = SubmissionsInMemory(bad)
    now = [0.0]
    processor = SubmissionProcessor(hub, GatewayMetrics(CollectorRegistry()))
    work = SubmissionWork(submissions, processor, clock=lambda: now[0])
    pauses = []
    for number in range(1, 8):
        while work.turn() != {Verdict.retried}:
            now[0] += 0.25
        pauses.append(now[0])
        submissions.held[number] = submission(f"other-{number}", "ru.moscow-union")
        assert work.turn() == {Verdict.answered}
    # Its own pauses grow up to the longest.
    assert [later - earlier for earlier, later in pairwise(pauses)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]


def test_result_of_a_lost_connection_settles_nothing() -> None:
    hub = SlowHub(OSH)
    submissions = SubmissionsInMemory(submission("a"))
    work = SubmissionWork(submissions, SubmissionProcessor(hub, GatewayMetrics(CollectorRegistry())))
    work._spawn = spawned
    assert work.turn() == frozenset()
    submissions.available = False
    with pytest.raises(BrokerUnavailable):
        work.turn()
    # Delivered again by another tag.
    submissions.held, submissions.given, submissions.available = {7: submission("a")}, set(), True
    hub.let_go.set()
    until(lambda: work.turn() is not None and not submissions.held, "the one delivered again is settled")
    assert list(hub.taken) == ["a"]


def test_paced_submissions_come_again_after_a_lost_connection() -> None:
    hub = HubInMemory(left={OSH: 0})
    submissions = SubmissionsInMemory(submission("a"))
    work = SubmissionWork(submissions, SubmissionProcessor(hub, GatewayMetrics(CollectorRegistry())))
    assert work.turn() == {Verdict.paced}
    submissions.available = False
    with pytest.raises(BrokerUnavailable):
        work.turn()
    hub.left[OSH], submissions.available = 10, True
    submissions.given.clear()
    assert work.turn() == {Verdict.answered}
    assert submissions.held == {}


def test_broker_that_is_lost_does_not_end_the_wait() -> None:
    hub, submissions = HubInMemory(available=False), SubmissionsInMemory(submission("a"))
    now = [0.0]
    processor = SubmissionProcessor(hub, GatewayMetrics(CollectorRegistry()))
    work = SubmissionWork(submissions, processor, clock=lambda: now[0])
    work.turn()
    submissions.available, now[0] = False, 60.0
    with pytest.raises(BrokerUnavailable):
        work.turn()
    assert work.waiting_seconds() == 60


def test_gateway_is_not_ready_while_the_broker_is_unavailable() -> None:
    submissions = SubmissionsInMemory()
    submissions.available = False
    work = SubmissionWork(
        submissions, SubmissionProcessor(HubInMemory(), GatewayMetrics(CollectorRegistry()))
    )
    assert work.unready() is not None
    with pytest.raises(BrokerUnavailable):
        work.turn()
    submissions.available = True
    work.turn()
    assert work.unready() is None


def test_small_batches_overtake_a_large_one_that_waits_for_bytes_a_few_times() -> None:
    submissions = SubmissionsInMemory()
    work = SubmissionWork(
        submissions, SubmissionProcessor(HubInMemory(), GatewayMetrics(CollectorRegistry()))
    )
    begun: list[str] = []
    unfinished: list[Callable[[], None]] = []

    def spawn(process: Callable[[], None]) -> None:
        assert isinstance(process, partial)
        begun.append(process.args[0])
        if process.args[0] == "ru.first":
            unfinished.append(process)
        else:
            process()

    work._spawn = spawn
    submissions.held = {number: large(f"first{number}", "ru.first") for number in range(6)}
    work.turn()
    submissions.held |= {100 + number: large(f"large{number}", "ru.large") for number in range(20)}
    for number in range(12):
        submissions.held[200 + number] = submission(f"small{number}", f"ru.small-{number}")
        work.turn()
    assert begun == ["ru.first", *(f"ru.small-{number}" for number in range(8))]
    unfinished.pop()()
    work.turn()  # settles it
    work.turn()
    assert begun[9:] == ["ru.large", *(f"ru.small-{number}" for number in range(8, 12))]
