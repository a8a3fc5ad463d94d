"""The window: what a count proves, when copying continues, and that no interleaving loses a message."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.domain.window import (
    CAPACITY,
    LEAST_FREE,
    LONGEST_PAUSE,
    MOST_UNPROVED,
    Count,
    Window,
    rebuilt,
)
from tests.long_run import times

EMPTY = 0


def counted(window: Window, *counts: tuple[int, int]) -> tuple[Window, tuple[str, ...]]:
    """Return the window after counts (messages, mark), and what the last one proved."""
    proved: tuple[str, ...] = ()
    for messages, mark in counts:
        window, proved = window.counted(Count(messages=messages, mark=mark))
    return window, proved


def test_empty_queue_counted_twice_since_the_last_copy_proves_every_copy() -> None:
    window, proved = counted(Window().with_copies(["a", "b"], "c1"), (EMPTY, 1), (EMPTY, 2), (EMPTY, 3))
    assert proved == ("a", "b")
    assert window.copied == ()
    assert window.cursor == "c1"


def test_count_from_before_the_copy_proves_nothing() -> None:
    # One reading, and one change that may have been counted before the copy.
    _, proved = counted(Window().with_copies(["a"], "c1"), (EMPTY, 1), (EMPTY, 2))
    assert proved == ()


def test_repeated_reading_of_one_count_proves_nothing() -> None:
    _, proved = counted(Window().with_copies(["a"], "c1"), (EMPTY, 1), (EMPTY, 2), *[(EMPTY, 2)] * 5)
    assert proved == ()


def test_copy_after_a_count_restarts_the_proof() -> None:
    window, _ = counted(Window().with_copies(["a"], "c1"), (EMPTY, 1), (EMPTY, 2))
    window, proved = counted(window.with_copies(["b"], "c2"), (EMPTY, 3), (EMPTY, 4))
    assert proved == ()
    assert window.copied == ("a", "b")


def test_one_message_left_proves_none_of_the_others() -> None:
    # A consumer may acknowledge in any order: nobody knows which one is left.
    _, proved = counted(Window().with_copies(["a", "b", "c"], "c1"), (1, 1), (1, 2), (1, 3), (1, 4))
    assert proved == ()


def test_queue_that_becomes_empty_later_proves_at_the_next_count() -> None:
    _, proved = counted(Window().with_copies(["a"], "c1"), (1, 1), (1, 2), (1, 3), (EMPTY, 4))
    assert proved == ("a",)


def test_free_places_of_a_window_are_filled_in_pages() -> None:
    assert Window().free(0, now=0.0)[1] == CAPACITY
    assert Window().free(CAPACITY - LEAST_FREE, now=0.0)[1] == LEAST_FREE
    assert Window().free(CAPACITY - LEAST_FREE + 1, now=0.0)[1] == 0
    assert Window().free(CAPACITY + 1, now=0.0)[1] == 0


def test_copying_pauses_for_a_proof_and_continues_after_the_longest_pause() -> None:
    window = Window().with_copies([str(number) for number in range(MOST_UNPROVED)], "c1")
    window, free = window.free(0, now=10.0)
    assert free == 0
    window, free = window.free(0, now=10.0 + LONGEST_PAUSE - 1)
    assert free == 0
    window, free = window.free(0, now=10.0 + LONGEST_PAUSE)
    assert free == CAPACITY


def test_closed_message_lingers_only_if_it_was_copied_with_its_content() -> None:
    window = Window().with_copies(["a", "b"], "c1", closed=frozenset({"b"}))
    assert window.lingering(frozenset({"a", "b", "never-copied"})) == {"a"}


def test_look_at_as_many_messages_as_were_counted_proves_the_others() -> None:
    window, _ = counted(Window().with_copies(["a", "b", "c"], "c1"), (2, 1), (2, 2), (2, 3))
    count = Count(messages=2, mark=3)
    assert window.can_be_looked_at(count, waiting=2)
    window, proved = window.looked_at(count, ["a", "c"])
    assert proved == ("b",)
    assert window.copied == ("a", "c")


def test_look_proves_nothing_if_a_counted_message_is_not_among_the_held_ones() -> None:
    window, _ = counted(Window().with_copies(["a", "b", "c"], "c1"), (2, 1), (2, 2), (2, 3))
    assert window.looked_at(Count(messages=2, mark=3), ["c"]) == (window, ())
    assert not window.can_be_looked_at(Count(messages=2, mark=3), waiting=1)


def test_look_needs_a_count_from_after_the_last_copy() -> None:
    window, _ = counted(Window().with_copies(["a", "b"], "c1"), (1, 1), (1, 2))
    assert not window.can_be_looked_at(Count(messages=1, mark=2), waiting=1)


class Hub:
    """A mailbox, a queue with a consumer, the broker's counts, and a gateway that follows the window."""

    def __init__(self) -> None:
        self.mailbox: list[str] = []
        self.acknowledged: set[str] = set()  # acknowledged in the mailbox
        self.done: set[str] = set()  # acknowledged by the consumer, or over HTTP
        self.waiting: list[str] = []
        self.held: list[str] = []
        self.counting: int | None = None  # counted, not published yet
        self.published = Count(messages=0, mark=0)
        self.window = Window()

    def arrive(self) -> None:
        self.mailbox.append(f"m{len(self.mailbox)}")

    def copy(self, number: int) -> None:
        start = 0 if self.window.cursor is None else int(self.window.cursor)
        for place in range(start, len(self.mailbox)):
            if number == 0:
                break
            message = self.mailbox[place]
            if message not in self.acknowledged:
                self.waiting.append(message)
                self.window = self.window.with_copies([message], str(place + 1))
                number -= 1

    def deliver(self) -> None:
        if self.waiting:
            self.held.append(self.waiting.pop(0))

    def acknowledge(self, choice: int) -> None:
        if self.held:
            self.done.add(self.held.pop(choice % len(self.held)))

    def acknowledge_over_http(self, choice: int) -> None:
        if self.mailbox:
            message = self.mailbox[choice % len(self.mailbox)]
            self.done.add(message)
            self.acknowledged.add(message)

    def disconnect(self) -> None:
        self.waiting, self.held = [*self.held, *self.waiting], []

    def begin_count(self) -> None:
        if self.counting is None:
            self.counting = len(self.waiting) + len(self.held)

    def publish_count(self) -> None:
        if self.counting is not None:
            self.published = Count(messages=self.counting, mark=self.published.mark + 1)
            self.counting = None

    def read_count(self) -> None:
        self.window, proved = self.window.counted(self.published)
        self.acknowledged.update(proved)

    def look(self) -> None:
        waiting = len(self.waiting)
        if self.window.can_be_looked_at(self.published, waiting):
            self.window, proved = self.window.looked_at(self.published, list(self.waiting))
            self.acknowledged.update(proved)

    def look_late(self) -> None:
        # A consumer comes between the gateway's decision and its look.
        if self.window.can_be_looked_at(self.published, len(self.waiting)):
            self.deliver()
            self.window, proved = self.window.looked_at(self.published, list(self.waiting))
            self.acknowledged.update(proved)

    def restart_gateway(self) -> None:
        self.waiting, self.window = [], rebuilt()

    def lose_broker(self) -> None:
        self.waiting, self.held = [], []
        self.restart_gateway()


STEPS = {
    "arrive": (Hub.arrive,),
    "copy": tuple((lambda hub, n=n: hub.copy(n)) for n in (1, 3)),
    "deliver": (Hub.deliver,),
    "acknowledge": tuple((lambda hub, n=n: hub.acknowledge(n)) for n in (0, 1, 2)),
    "http": (lambda hub: hub.acknowledge_over_http(1),),
    "disconnect": (Hub.disconnect,),
    "count": (Hub.begin_count,),
    "publish count": (Hub.publish_count,),
    "read count": (Hub.read_count,),
    "look": (Hub.look, Hub.look_late),
    "restart": (Hub.restart_gateway,),
    "lose": (Hub.lose_broker,),
}
# Proofs take many steps, so what leads to one comes more often than what destroys it.
OFTEN = {"count": 4, "publish count": 4, "read count": 8, "acknowledge": 2, "deliver": 4, "look": 2}
STEP = st.sampled_from(
    [(name, n) for name, steps in STEPS.items() for n in range(len(steps)) for _ in range(OFTEN.get(name, 1))]
)


@settings(max_examples=times(40, 150), deadline=None)
@given(st.lists(STEP, min_size=60, max_size=120))
def test_no_interleaving_acknowledges_a_message_that_its_reader_has_not(walk: list[tuple[str, int]]) -> None:
    hub = Hub()
    for name, number in walk:
        STEPS[name][number](hub)
        assert hub.acknowledged <= hub.done
        # Every message is done, or still comes: in the queue, or from the mailbox after the cursor.
        after = 0 if hub.window.cursor is None else int(hub.window.cursor)
        coming = {*hub.waiting, *hub.held, *hub.mailbox[after:]}
        assert set(hub.mailbox) <= hub.done | coming


@settings(max_examples=times(20, 50), deadline=None)
@given(st.lists(STEP, max_size=60))
def test_consumer_that_keeps_up_gets_everything_acknowledged_in_the_end(walk: list[tuple[str, int]]) -> None:
    hub = Hub()
    for name, number in walk:
        STEPS[name][number](hub)
    hub.copy(len(hub.mailbox))
    for _ in range(len(hub.mailbox) * 2):
        hub.deliver()
        hub.acknowledge(0)
    for _ in range(4):
        hub.begin_count()
        hub.publish_count()
        hub.read_count()
    assert hub.window.copied == ()
    assert hub.acknowledged == set(hub.mailbox)
