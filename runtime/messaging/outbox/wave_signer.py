"""Signing of waves: the relay signs each wave of messages once, or once for each 64 events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from contracts.signatures import SigningKey
from runtime.messaging.headers import REASON, SIGNED
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.ports import Outgoing
from runtime.messaging.signatures.statement import MOST_EVENTS, digest


class WaveSigner:
    """Signs a service's messages with its key."""

    def __init__(self, key: SigningKey) -> None:
        """key: of the type STATEMENT_TYPE."""
        self._key = key

    def use(self, key: SigningKey) -> None:
        """Sign with this key from the next statement on."""
        self._key = key

    def sign(self, messages: Sequence[Outgoing]) -> list[Outgoing]:
        """Return the messages, in order, each with its proof and the digests of its events.

        A dead letter is another service's message: it keeps the proof that it came with, or none.
        """
        signed: list[Outgoing] = []
        waiting: list[tuple[Outgoing, tuple[bytes, ...]]] = []
        events = 0
        for message in messages:
            digests = (
                () if _is_dead_letter(message) else tuple([digest(e) for e in decode_batch(message.body)])
            )
            if events + len(digests) > MOST_EVENTS:
                signed += self._proven(waiting)
                waiting, events = [], 0
            waiting.append((message, digests))
            events += len(digests)
        return signed + self._proven(waiting)

    def _proven(self, messages: Sequence[tuple[Outgoing, tuple[bytes, ...]]]) -> list[Outgoing]:
        """messages: with the digests of their events, none for a dead letter."""
        statement = b"".join([one for _, digests in messages for one in digests])
        if not statement:
            return [message for message, _ in messages]
        proof = self._key.sign(statement)
        return [
            replace(message, headers={**message.headers, SIGNED: proof}, digests=digests)
            if digests
            else message
            for message, digests in messages
        ]


def _is_dead_letter(message: Outgoing) -> bool:
    return REASON in message.headers
