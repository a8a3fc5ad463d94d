"""Signed notes: a text, and lines of signatures by those who vouch for it.

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
    """One line. key_id: 4 bytes; signature: what follows it, in the algorithm's own encoding."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {base64_text.encode(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """What `str` wrote, without its newline. Raises MalformedError."""
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not KEY_NAME.fullmatch(name):
            raise MalformedError("a signature line is a dash, a key's name and base64")
        data = base64_text.decode(encoded, what=f"the signature of {name}")
        if len(data) <= _KEY_ID_BYTES:
            raise MalformedError(f"the signature of {name} is too short")
        return cls(name=name, key_id=data[:_KEY_ID_BYTES], signature=data[_KEY_ID_BYTES:])


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A signature that was checked. time: POSIX seconds, of a cosignature only."""

    key: VerifierKey
    line: SignatureLine
    time: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedNote:
    """A note as it was read; nothing in it has been checked. text: ends in a newline."""

    text: str
    lines: tuple[SignatureLine, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.lines))}"

    @classmethod
    def parse(cls, note: str | bytes) -> Self:
        """The note in its one spelling. Raises MalformedError."""
        try:
            data = note.encode() if isinstance(note, str) else note
            content = data.decode()
        except UnicodeError:
            raise MalformedError("a note is UTF-8 text") from None
        if len(data) > MAX_NOTE_BYTES:
            raise MalformedError(f"a note has at most {MAX_NOTE_BYTES:,} bytes")
        # The last empty line parts them: the text may have empty lines of its own.
        body, separator, signed = content.rpartition("\n\n")
        if not separator or not signed.endswith("\n") or _CONTROL.search(content):
            raise MalformedError("a note is a text, an empty line, and lines of signatures")
        lines = signed[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise MalformedError(f"a note has at most {MAX_SIGNATURES} signatures")
        return cls(text=body + "\n", lines=tuple(map(SignatureLine.parse, lines)))

    def signatures_by(self, keys: Iterable[VerifierKey]) -> tuple[Signed, ...]:
        """The signatures of those keys that signed, each key's first only: counting them counts keys.

        Lines of other keys are passed over, as the specification asks. Raises UntrustedError for a line
        that has a key's name and id and not its signature, also where another line has it.
        """
        known = {(key.name, key.key_id): key for key in keys}
        found: dict[VerifierKey, Signed] = {}
        for line in self.lines:
            key = known.get((line.name, line.key_id))
            if key is None:
                continue
            if not key.verify(self.text.encode(), line.signature):
                raise UntrustedError(f"the signature of {line.name} does not belong to this text")
            time = signed_time(line.signature) if key.algorithm is Algorithm.COSIGNATURE else None
            found.setdefault(key, Signed(key=key, line=line, time=time))
        return tuple(found.values())


def signature_line(text: str, key: SigningKey, *, time: int) -> SignatureLine:
    """A line for a note of this text. time: POSIX seconds; only a cosignature tells it."""
    return SignatureLine(
        name=key.name, key_id=key.verifier.key_id, signature=key.sign(text.encode(), time=time)
    )
