"""The statement of a log's new key, signed by the earlier key and by the new one.

A signed note (https://c2sp.org/signed-note) with this text:

    kopuro/kg
    log key change
    kopuro/kg+5c1f0b4d+AbC...

The first line is the log's origin, the last one the new verifier key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kopuro_client.tlog.errors import MalformedError, UntrustedError
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.note import SignedNote

TITLE: Final = "log key change"


def new_log_key(statement: str | bytes, trusted: Iterable[VerifierKey]) -> VerifierKey:
    """Return the new key of a log. trusted: keys, of which one must be the log's and have signed.

    Raises MalformedError; UntrustedError unless a trusted key of the same log and the new key have signed.
    """
    note = SignedNote.parse(statement)
    lines = note.text.removesuffix("\n").split("\n")
    if len(lines) != 3 or lines[1] != TITLE:
        raise MalformedError("the note is not the statement of a log's new key")
    origin, _, written = lines
    new = VerifierKey.parse(written)
    if new.name != origin:
        raise UntrustedError(f"the new key is not one of {origin}")
    if not note.signatures_by(key for key in trusted if key.name == origin):
        raise UntrustedError(f"no trusted key of {origin} has signed the change")
    if not note.signatures_by([new]):
        raise UntrustedError("the new key has not signed the change")
    return new
