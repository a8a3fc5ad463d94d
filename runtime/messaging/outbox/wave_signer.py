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
        """Return the messages, in order, each with its proof.

        A dead letter is another service's message: it keeps the proof that it came with, or none.
        """
        signed: list[Outgoing] = []
        waiting: list[Outgoing] = []
        digests: list[bytes] = []
        for message in messages:
            of_message = [] if _is_dead_letter(message) else [digest(e) for e in decode_batch(message.body)]
            if len(digests) + len(of_message) > MOST_EVENTS:
                signed += self._proven(waiting, digests)
                waiting, digests = [], []
            waiting.append(message)
            digests += of_message
        return signed + self._proven(waiting, digests)

    def _proven(self, messages: Sequence[Outgoing], digests: Sequence[bytes]) -> list[Outgoing]:
        if not digests:
            return list(messages)
        proof = self._key.sign(b"".join(digests))
        return [
            message
            if _is_dead_letter(message)
            else replace(message, headers={**message.headers, SIGNED: proof})
            for message in messages
        ]


def _is_dead_letter(message: Outgoing) -> bool:
    return REASON in message.headers
