from collections.abc import Iterator
from typing import Any, cast

import pytest

from kopuro_client import InvalidArgumentError, Kopuro
from kopuro_client.paging import following, watching
from kopuro_client.records import Message, Page
from tests.unit.client.conftest import FakeClock
from tests.unit.client.fake_hub import FakeHub, json_response


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

    watch = watching(fetch, after=None, wait=30.0, give_up_after=None, clock=fake_clock.clock)
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

    watch = watching(fetch, after=None, wait=30.0, give_up_after=None, clock=fake_clock.clock)
    assert [next(watch)["id"] for _ in range(2)] == ["1", "2"]
    assert asked == [None, "1", "1"]


def test_watch_gives_up_after_silence_that_each_message_restarts(fake_clock: FakeClock) -> None:
    waits: list[float] = []
    pages = iter([page(), page(message("1"), after="1"), page(), page()])

    def fetch(after: str | None, wait: float) -> Page[Message]:
        waits.append(wait)
        fake_clock.now += wait
        return next(pages)

    watch = watching(fetch, after=None, wait=30.0, give_up_after=45.0, clock=fake_clock.clock)
    assert [found["id"] for found in watch] == ["1"]
    assert waits == [30.0, 15.0, 30.0, 15.0]


def test_watch_with_short_wait_does_not_busy_loop(fake_clock: FakeClock) -> None:
    def fetch(after: str | None, wait: float) -> Page[Message]:
        assert wait >= 1.0
        fake_clock.now += wait - 0.5  # the hub responds slightly early
        return page()

    assert list(watching(fetch, after=None, wait=2.0, give_up_after=2.0, clock=fake_clock.clock)) == []
    with pytest.raises(InvalidArgumentError):
        next(watching(fetch, after=None, wait=0.0, give_up_after=None, clock=fake_clock.clock))


def test_client_watch_uses_long_polling(hub: FakeHub, client: Kopuro) -> None:
    mailbox = "/delivery/v1/mailbox"
    hub.script("GET", mailbox, json_response(page(after=None)), json_response(page({"id": "m1"}, after="7")))
    watch = client.watch(wait=20)
    assert next(watch)["id"] == "m1"
    assert [request.query for request in hub.requests_to(mailbox)] == [{"wait": "20"}, {"wait": "20"}]
