from collections.abc import Iterator
from typing import Any, cast

import pytest

from kopuro_client import DefectError, InvalidArgumentError, Kopuro
from kopuro_client.paging import MOST_EMPTY, following, watching
from kopuro_client.records import Message, Page
from tests.unit.client.conftest import FakeClock
from tests.unit.client.fake_hub import FakeHub, Response, json_response


def page(*items: Any, after: str | None = None) -> Page[Any]:
    return {"items": list(items), "next": after}


def test_pages_are_fetched_only_when_needed() -> None:
    asked: list[str | None] = []
    pages = {None: page(1, 2, after="a"), "a": page(after="b"), "b": page(3)}

    def fetch(after: str | None) -> Page[int]:
        asked.append(after)
        return pages[after]

    items = following(fetch)
    assert next(items) == 1
    assert asked == [None]
    assert list(items) == [2, 3]
    assert asked == [None, "a", "b"]


def test_list_of_ever_more_empty_pages_is_a_defect() -> None:
    asked: list[str | None] = []

    def fetch(after: str | None) -> Page[int]:
        asked.append(after)
        return page(*([1] if len(asked) == 7 else []), after=f"c{len(asked)}")

    with pytest.raises(DefectError, match="does not end: 1,000 pages in a row, up to page 1,007, are empty"):
        list(following(fetch))
    assert len(asked) == MOST_EMPTY + 7


@pytest.mark.parametrize("around", [1, 2, 7, 64])
def test_list_whose_cursors_come_again_is_a_defect(around: int) -> None:
    asked: list[str | None] = []

    def fetch(after: str | None) -> Page[int]:
        asked.append(after)
        if len(asked) > 500:
            raise AssertionError("the list is read for ever")
        return page(1, after=str(len(asked) if len(asked) < 20 else 20 + len(asked) % around))

    with pytest.raises(DefectError, match="names a next page that was read before"):
        list(following(fetch))
    assert len(asked) <= 2 * 64 + around + 1


@pytest.mark.parametrize("around", [2, 3, 4, 64])
def test_list_whose_cursors_come_again_with_an_empty_page_is_a_defect(around: int) -> None:
    asked: list[str | None] = []

    def fetch(after: str | None) -> Page[int]:
        asked.append(after)
        if len(asked) > 500:
            raise AssertionError("the list is read for ever")
        place = len(asked) % around
        return page(*([1] if place else []), after=str(place))

    with pytest.raises(DefectError, match="names a next page that was read before"):
        list(following(fetch))


def test_empty_page_may_name_its_own_cursor() -> None:
    pages = iter([page(1, after="a"), page(after="a"), page(2)])
    assert list(following(lambda _: next(pages))) == [1, 2]


def test_list_with_some_empty_pages_is_read_to_its_end() -> None:
    pages = {
        None if number == 0 else str(number): page(*([] if number % 900 else [number]), after=str(number + 1))
        for number in range(2_700)
    }
    pages["2700"] = page()
    assert list(following(pages.__getitem__)) == [0, 900, 1_800]


def test_referrals_are_read_from_every_page_with_the_same_filter(hub: FakeHub, client: Kopuro) -> None:
    listing = "/intake/v1/referrals"
    hub.script(
        "GET",
        listing,
        json_response(page({"id": "1"}, after="c+/=")),
        json_response(page({"id": "2"}, {"id": "3"})),
    )
    assert [item["id"] for item in client.referrals(status="offered", limit=2)] == ["1", "2", "3"]
    assert [request.query for request in hub.requests_to(listing)] == [
        {"status": "offered", "limit": "2"},
        {"status": "offered", "limit": "2", "after": "c+/="},
    ]


def message(id_: str) -> Message:
    return cast(Message, {"id": id_})


def test_watch_keeps_its_cursor_over_empty_pages(fake_clock: FakeClock) -> None:
    asked: list[str | None] = []
    pages = iter([page(message("1"), message("2"), after="2"), page(), page(message("3"), after="3")])

    def fetch(after: str | None, wait: float) -> Page[Message]:
        asked.append(after)
        return next(pages)

    watch = watching(fetch, after=None, wait=30.0, give_up_after=None, clock=fake_clock.clock, lost=float)
    assert [next(watch)["id"] for _ in range(3)] == ["1", "2", "3"]
    assert asked == [None, "2", "2"]


def test_watch_continues_from_resume_cursor_of_last_page(fake_clock: FakeClock) -> None:
    asked: list[str | None] = []
    pages: Iterator[Page[Message]] = iter(
        [
            {"items": [message("1")], "next": None, "resume": "1"},
            {"items": [], "next": None, "resume": "1"},
            {"items": [message("2")], "next": "2", "resume": "2"},
        ]
    )

    def fetch(after: str | None, wait: float) -> Page[Message]:
        asked.append(after)
        return next(pages)

    watch = watching(fetch, after=None, wait=30.0, give_up_after=None, clock=fake_clock.clock, lost=float)
    assert [next(watch)["id"] for _ in range(2)] == ["1", "2"]
    assert asked == [None, "1", "1"]


def test_watch_gives_up_after_silence_that_each_message_restarts(fake_clock: FakeClock) -> None:
    waits: list[float] = []
    pages = iter([page(), page(message("1"), after="1"), page(), page()])

    def fetch(after: str | None, wait: float) -> Page[Message]:
        waits.append(wait)
        fake_clock.now += wait
        return next(pages)

    watch = watching(fetch, after=None, wait=30.0, give_up_after=45.0, clock=fake_clock.clock, lost=float)
    assert [found["id"] for found in watch] == ["1"]
    assert waits == [30.0, 15.0, 30.0, 15.0]


def test_watch_with_short_wait_does_not_busy_loop(fake_clock: FakeClock) -> None:
    def fetch(after: str | None, wait: float) -> Page[Message]:
        assert wait >= 1.0
        fake_clock.now += wait - 0.5  # the hub responds slightly early
        return page()

    assert (
        list(watching(fetch, after=None, wait=2.0, give_up_after=2.0, clock=fake_clock.clock, lost=float))
        == []
    )
    with pytest.raises(InvalidArgumentError):
        next(watching(fetch, after=None, wait=0.0, give_up_after=None, clock=fake_clock.clock, lost=float))


def test_watch_counts_only_the_time_in_which_the_hub_answered(fake_clock: FakeClock) -> None:
    outage = 0.0
    pages = iter([page(), page(message("1"), after="1"), page(), page()])
    outages = iter([300.0, 0.0, 44.0, 0.0])
    waits: list[float] = []

    def fetch(after: str | None, wait: float) -> Page[Message]:
        nonlocal outage
        waits.append(wait)
        lasted = next(outages)
        outage += lasted
        fake_clock.now += lasted + wait
        return next(pages)

    watch = watching(
        fetch, after=None, wait=30.0, give_up_after=45.0, clock=fake_clock.clock, lost=lambda: outage
    )
    assert [found["id"] for found in watch] == ["1"]
    assert waits == [30.0, 15.0, 30.0, 15.0]


def test_client_watch_outlasts_an_outage_longer_than_its_quiet_time(hub: FakeHub, client: Kopuro) -> None:
    mailbox = "/delivery/v1/mailbox"
    busy = Response(status=503, headers={"Retry-After": "4"})
    empty = json_response(page(after=None))
    hub.script("GET", mailbox, busy, busy, empty, json_response(page({"id": "m1"}, after="7")))
    assert next(client.watch(give_up_after=3))["id"] == "m1"


def test_client_watch_uses_long_polling(hub: FakeHub, client: Kopuro) -> None:
    mailbox = "/delivery/v1/mailbox"
    hub.script("GET", mailbox, json_response(page(after=None)), json_response(page({"id": "m1"}, after="7")))
    watch = client.watch(wait=20)
    assert next(watch)["id"] == "m1"
    assert [request.query for request in hub.requests_to(mailbox)] == [{"wait": "20"}, {"wait": "20"}]
