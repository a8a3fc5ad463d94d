"""Signed notes: a text followed by signature lines.

Source: https://c2sp.org/signed-note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.errors import MalformedError, UntrustedError
from kopuro_client.tlog.keys import KEY_NAME, Algorithm, SigningKey, VerifierKey, signed_time

MAX_NOTE_BYTES: Final = 1_000_000
MAX_SIGNATURES: Final = 100

_DASH: Final = "— "
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID_BYTES: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class SignatureLine:
    """A signature line. key_id: 4 bytes; signature: the bytes after it, in the algorithm's encoding."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {base64_text.encode(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Parse what `str` wrote, without its newline. Raises MalformedError."""
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not KEY_NAME.fullmatch(name):
            raise MalformedError("a signature line must be a dash, a key's name and base64")
        data = base64_text.decode(encoded, what=f"the signature of {name}")
        if len(data) <= _KEY_ID_BYTES:
            raise MalformedError(f"the signature of {name} is too short")
        return cls(name=name, key_id=data[:_KEY_ID_BYTES], signature=data[_KEY_ID_BYTES:])


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A verified signature. time: a cosignature's time in POSIX seconds, otherwise None."""

    key: VerifierKey
    line: SignatureLine
    time: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedNote:
    """A parsed note, not verified. text: ends in a newline."""

    text: str
    lines: tuple[SignatureLine, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.lines))}"

    @classmethod
    def parse(cls, note: str | bytes) -> Self:
        """Parse a signed note. Raises MalformedError."""
        try:
            data = note.encode() if isinstance(note, str) else note
            content = data.decode()
        except UnicodeError:
            raise MalformedError("the note is not UTF-8 text") from None
        if len(data) > MAX_NOTE_BYTES:
            raise MalformedError(f"the note has more than {MAX_NOTE_BYTES:,} bytes")
        # The last empty line is the separator, because the text may have empty lines, too.
        body, separator, signed = content.rpartition("\n\n")
        if not separator or not signed.endswith("\n") or _CONTROL.search(content):
            raise MalformedError("a note must be a text, an empty line, and signature lines")
        lines = signed[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise MalformedError(f"the note has more than {MAX_SIGNATURES} signatures")
        return cls(text=body + "\n", lines=tuple(map(SignatureLine.parse, lines)))

    def signatures_by(self, keys: Iterable[VerifierKey]) -> tuple[Signed, ...]:
        """Return the verified signatures of these keys, the first one of each key that signed.

        Ignores lines of other keys, as the specification requires. Raises UntrustedError if a line with a
        key's name and id has an invalid signature, even if another line has a valid one.
        """
        known = {(key.name, key.key_id): key for key in keys}
        found: dict[VerifierKey, Signed] = {}
        for line in self.lines:
            key = known.get((line.name, line.key_id))
            if key is None:
                continue
            if not key.verify(self.text.encode(), line.signature):
                raise UntrustedError(f"the signature of {line.name} is invalid for this text")
            time = signed_time(line.signature) if key.algorithm is Algorithm.COSIGNATURE else None
            found.setdefault(key, Signed(key=key, line=line, time=time))
        return tuple(found.values())


def signature_line(text: str, key: SigningKey, *, time: int) -> SignatureLine:
    """Return a signature line for a note of this text. time: POSIX seconds; only cosignatures include it."""
    return SignatureLine(
        name=key.name, key_id=key.verifier.key_id, signature=key.sign(text.encode(), time=time)
    )
