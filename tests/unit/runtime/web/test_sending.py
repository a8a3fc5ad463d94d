"""Large responses that are not taken yet: bounded by address and in all."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from runtime.web.sending import Sending, TooMuchUnread


def test_address_has_a_bound_of_its_own() -> None:
    sending = Sending(most_of_one=100, most=1_000)
    with sending.of("a", 60), sending.of("a", 40):
        with pytest.raises(TooMuchUnread), sending.of("a", 1):
            pass
        with sending.of("b", 100):
            pass
    with sending.of("a", 100):
        pass


def test_first_response_of_an_address_is_sent_however_large_it_is() -> None:
    sending = Sending(most_of_one=100, most=150)
    with sending.of("a", 500), sending.of("b", 500), sending.of("c", 1):
        for address in "abc":
            with pytest.raises(TooMuchUnread), sending.of(address, 1):
                pass


def test_all_addresses_together_have_a_bound() -> None:
    sending = Sending(most_of_one=100, most=150)
    with ExitStack() as held:
        for address in "abc":
            held.enter_context(sending.of(address, 50))
        with pytest.raises(TooMuchUnread), sending.of("a", 1):
            pass


def test_failed_response_is_counted_no_longer() -> None:
    sending = Sending(most_of_one=100, most=100)
    with pytest.raises(OSError, match="gone"), sending.of("a", 100):
        raise OSError("gone")
    with sending.of("a", 60), sending.of("a", 40):
        pass
