"""Replies open in the process that asked, for their own request."""

from __future__ import annotations

import pytest

from contracts.jose import decoded, encoded
from runtime.messaging.signatures import sealed_replies
from runtime.messaging.signatures.sealed_replies import ReplyOpener, ReplySealer, ReplyUnopened

REPLY = b'{"answer":{"needs":["protection.trafficking"]}}'


def test_reply_opens_for_the_process_that_asked() -> None:
    opener, sealer = ReplyOpener(), ReplySealer()
    sealed = [sealer.seal(REPLY, opener.key, number) for number in ("1", "2")]
    assert [opener.open(text, number) for text, number in zip(sealed, ("1", "2"), strict=True)] == [REPLY] * 2
    assert b"trafficking" not in decoded(sealed[0])
    assert sealed[0] != sealer.seal(REPLY, opener.key, "1")


def test_reply_opens_neither_with_another_key_nor_for_another_request() -> None:
    opener = ReplyOpener()
    sealed = ReplySealer().seal(REPLY, opener.key, "1")
    for other, number in ((ReplyOpener(), "1"), (opener, "2")):
        with pytest.raises(ReplyUnopened):
            other.open(sealed, number)


@pytest.mark.parametrize("place", [0, 40, 85, 95, -1])
def test_altered_reply_does_not_open(place: int) -> None:
    opener = ReplyOpener()
    data = bytearray(decoded(ReplySealer().seal(REPLY, opener.key, "1")))
    data[place] ^= 1
    with pytest.raises(ReplyUnopened):
        opener.open(encoded(bytes(data)), "1")


@pytest.mark.parametrize("text", ["", "x", "A" * 43, "A" * 200, "="])
def test_text_that_is_not_a_sealed_reply_does_not_open(text: str) -> None:
    with pytest.raises(ReplyUnopened):
        ReplyOpener().open(text, "1")


@pytest.mark.parametrize("key", ["", "x", "A" * 43, "A" * 42, "=" * 43])
def test_key_that_cannot_be_used_seals_nothing(key: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several libraries
        ReplySealer().seal(REPLY, key, "1")


def test_session_keys_of_many_processes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_replies, "_MOST_PEERS", 2)
    sealer, openers = ReplySealer(), [ReplyOpener() for _ in range(4)]
    for _ in range(2):
        for opener in openers:
            assert opener.open(sealer.seal(REPLY, opener.key, "1"), "1") == REPLY
    assert len(sealer._sessions) == 2
    opener = openers[0]
    for _ in range(4):
        opener.open(ReplySealer().seal(REPLY, opener.key, "1"), "1")
    assert len(opener._sessions) == 2
