"""Signed heads: size, root and the log's origin."""

from __future__ import annotations

import pytest

from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier
from services.audit.log.domain.note import Ed25519Verifier, NoteError, open_note
from tests.unit.services.audit.logs import NOON, new_key


def test_head_checkpoint_opens_with_the_verifier_key() -> None:
    key = new_key("uz")
    frontier = Frontier().extend([bytes([n]) * 32 for n in range(5)])
    head = key.sign(frontier, Chronology(), NOON)
    assert key.origin == "kopuro/uz"
    assert open_note(head.checkpoint, [Ed25519Verifier.parse(key.verifier_key)]).text.startswith(
        "kopuro/uz\n5\n"
    )
    assert key.read(head.checkpoint).root == frontier.root()
    assert head.size == 5


def test_checkpoint_of_another_key_is_refused() -> None:
    with pytest.raises(NoteError):
        new_key().read(new_key().sign(Frontier(), Chronology(), NOON).checkpoint)
