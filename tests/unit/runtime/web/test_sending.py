"""Large responses that are not taken yet: bounded by address and in all."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack

import pytest

from runtime.web.sending import Sending, TooMuchUnread


def test_address_has_a_bound_of_its_own() -> None:
    sending = Sending(most=400)
    with sending.of("a", 60), sending.of("a", 40):
        with pytest.raises(TooMuchUnread), sending.of("a", 1):
            pass
        with sending.of("b", 50), sending.of("b", 25):
            pass
    with sending.of("a", 100):
        pass


def test_first_response_of_an_address_is_sent_however_large_it_is() -> None:
    sending = Sending(most=150)
    with sending.of("a", 500), sending.of("b", 500), sending.of("c", 1):
        for address in "abc":
            with pytest.raises(TooMuchUnread), sending.of(address, 1):
                pass


def test_all_addresses_together_have_a_bound() -> None:
    sending = Sending(most=150)
    with ExitStack() as held:
        for address in "abc":
            held.enter_context(sending.of(address, 50))
        with pytest.raises(TooMuchUnread), sending.of("a", 1):
            pass


def fill(sending: Sending, address: str) -> list[ExitStack]:
    """Let the address leave unread all responses of one byte that it gets, and return them."""
    responses = []
    with contextlib.suppress(TooMuchUnread):
        while True:
            held = ExitStack()
            held.enter_context(sending.of(address, 1))
            responses.append(held)
    return responses


@pytest.mark.parametrize("greedy", [1, 4, 8, 12])
def test_addresses_that_fill_up_one_after_the_other_leave_the_next_a_quarter_of_the_rest(greedy: int) -> None:
    sending, most = Sending(most=20_000), 20_000
    held = [fill(sending, str(number)) for number in range(greedy)]
    assert len(fill(sending, "newcomer")) >= most / 4 * 0.75**greedy - 1
    assert sum(map(len, held)) <= most


def test_greedy_addresses_come_to_equal_shares_as_their_responses_end() -> None:
    sending = Sending(most=700)
    responses = {address: fill(sending, address) for address in "abcd"}
    assert [len(held) for held in responses.values()] == [175, 131, 98, 74]
    for _ in range(700):
        for address, held in responses.items():
            held.pop(0).close()  # one ends, and the address asks again until it is refused
            held += fill(sending, address)
    assert {len(held) for held in responses.values()} <= {99, 100, 101}, "a seventh each, three are free"


def test_failed_response_is_counted_no_longer() -> None:
    sending = Sending(most=400)
    with pytest.raises(OSError, match="gone"), sending.of("a", 100):
        raise OSError("gone")
    with sending.of("a", 60), sending.of("a", 40):
        pass
