"""Signed notes: a text with the signatures of one or more keys.

A note is transmitted and stored as bytes; its text and names are `str`. The log signs with Ed25519;
other implementations of `Signer` and `Verifier` can be used beside it (cosignatures of witnesses, later
algorithms). Signature lines of unknown keys are skipped, as the specification requires.

    NoteError
    ├── MalformedNote    not a note, or a text that cannot become one
    ├── MalformedKey     not a verifier key, or an invalid key name
    └── UntrustedNote    no known key signed it, or a known key's signature is wrong

Source: https://c2sp.org/signed-note (v1.0.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from contracts import base64_text

ED25519 = 0x01  # signature type identifier

# Bounds on untrusted input. The specification requires at least 16 signatures, and a post-quantum
# signature takes up to 7 kB in base64.
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100

_KEY_ID_BYTES = 4
_SIGNATURE_LINE = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_NAME = re.compile(r"[^\x00-\x1f+\s\ud800-\udfff]+")


class NoteError(ValueError):
    """The base class of errors of notes and their keys."""


class MalformedNote(NoteError):
    """The bytes are not a signed note, or the text cannot be signed as one."""


class MalformedKey(NoteError):
    """The text is not a verifier key, or the name is not a valid key name."""


class UntrustedNote(NoteError):
    """No known key signed the note, or the signature of a known key is wrong."""


class Signer(Protocol):
    """Signs note texts. `name` and `key_id` (4 bytes) identify the key and its algorithm."""

    @property
    def name(self) -> str: ...
    @property
    def key_id(self) -> bytes: ...

    def sign(self, text: bytes) -> bytes:
        """Return the signature over the text in the algorithm's encoding, without the key id."""
        ...


class Verifier(Protocol):
    """Checks the signatures of the key that `name` and `key_id` (4 bytes) identify."""

    @property
    def name(self) -> str: ...
    @property
    def key_id(self) -> bytes: ...

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature over this text. Never raises."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """One signature line. key_id: 4 bytes; signature: in the algorithm's encoding."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedNote:
    """An opened note, signed by at least one known key.

    text: ends in a newline; signatures: every line in order, including those of unknown keys; verified:
    the first signature of each known key, so that its length is the number of keys.
    """

    text: str
    signatures: tuple[Signature, ...]
    verified: tuple[Signature, ...]


def sign(text: str, *signers: Signer) -> bytes:
    """Return the note of this text with one signature line per signer, at least one.

    Raises MalformedNote for a text that does not end in a newline, holds another control character,
    or is too long; MalformedKey for a signer with an invalid name.
    """
    if not signers:
        raise MalformedNote("a note needs at least one signature")
    message = _encode(text)
    signatures = [
        Signature(name=_key_name(signer.name), key_id=signer.key_id, signature=signer.sign(message))
        for signer in signers
    ]
    note = message + "".join(["\n", *map(_signature_line, signatures)]).encode()
    if len(note) > MAX_NOTE_BYTES:
        raise MalformedNote(f"a note has at most {MAX_NOTE_BYTES} bytes")
    return note


def with_signatures(note: bytes, signatures: Iterable[Signature]) -> bytes:
    """Return the note with these signature lines added; they replace lines of the same key.

    Does not verify signatures. Raises MalformedNote.
    """
    text, present = _parse(note)
    lines = {(line.name, line.key_id): line for line in (*present, *signatures)}
    if len(lines) > MAX_SIGNATURES:
        raise MalformedNote(f"a note has at most {MAX_SIGNATURES} signatures")
    return (text + "\n" + "".join(map(_signature_line, lines.values()))).encode()


def open_note(note: bytes, verifiers: Iterable[Verifier]) -> SignedNote:
    """Verify the signatures of these verifiers and return the note.

    Raises MalformedNote; UntrustedNote when none of the verifiers signed it, or when a line with a
    verifier's name and key id has a wrong signature; ValueError when two different verifiers share
    name and key id.
    """
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise ValueError(f"two verifiers share the name {verifier.name} and a key id")
    text, signatures = _parse(note)
    message = text.encode()
    verified: dict[tuple[str, bytes], Signature] = {}
    for signature in signatures:
        key = (signature.name, signature.key_id)
        if (signer := known.get(key)) is None:
            continue
        if not signer.verify(message, signature.signature):
            raise UntrustedNote(f"the signature of {signature.name} does not match the text")
        verified.setdefault(key, signature)
    if not verified:
        raise UntrustedNote("no known key has signed this note")
    return SignedNote(text=text, signatures=signatures, verified=tuple(verified.values()))


def key_id(name: str, signature_type: int, public_key: bytes) -> bytes:
    """Return the 4-byte key id, which with the name identifies a key and its algorithm."""
    material = b"\n" + bytes([signature_type]) + public_key
    return sha256(name.encode() + material).digest()[:_KEY_ID_BYTES]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ed25519Verifier:
    """A public key that checks notes. public_key: 32 bytes (RFC 8032). Raises MalformedKey."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        _key_name(self.name)
        if len(self.public_key) != 32:
            raise MalformedKey("an Ed25519 public key has 32 bytes")

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, ED25519, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature over this text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True

    def format(self) -> str:
        """Return the verifier key (vkey) as text: `name+key id in hex+base64 of type and public key`."""
        material = base64_text.encoded(bytes([ED25519]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def parse(cls, text: str) -> Ed25519Verifier:
        """Parse the output of `format`. Raises MalformedKey, also for keys of other algorithms."""
        name, _, rest = text.partition("+")
        claimed_id, _, encoded = rest.partition("+")
        try:
            material = base64_text.decoded(encoded)
        except ValueError:
            raise MalformedKey("a verifier key is name+hash+base64") from None
        if material[:1] != bytes([ED25519]):
            raise MalformedKey("not the verifier key of an Ed25519 note signer")
        verifier = cls(name=name, public_key=material[1:])
        if claimed_id != verifier.key_id.hex():
            raise MalformedKey("the verifier key's hash does not belong to its name and key")
        return verifier


@dataclass(frozen=True, kw_only=True, slots=True)
class Ed25519Signer:
    """A private key that signs notes. Raises MalformedKey for an invalid name."""

    name: str
    private_key: Ed25519PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        _key_name(self.name)

    @property
    def verifier(self) -> Ed25519Verifier:
        """The public half."""
        public_key = self.private_key.public_key().public_bytes_raw()
        return Ed25519Verifier(name=self.name, public_key=public_key)

    @property
    def key_id(self) -> bytes:
        return self.verifier.key_id

    def sign(self, text: bytes) -> bytes:
        """Return the 64-byte signature. Source: RFC 8032."""
        return self.private_key.sign(text)


def _parse(note: bytes) -> tuple[str, tuple[Signature, ...]]:
    if len(note) > MAX_NOTE_BYTES:
        raise MalformedNote(f"a note has at most {MAX_NOTE_BYTES} bytes")
    try:
        content = note.decode()
    except UnicodeDecodeError:
        raise MalformedNote("a note is UTF-8 text") from None
    # The last empty line separates text and signatures: the text may contain empty lines.
    body, separator, signed = content.rpartition("\n\n")
    if not separator or not signed.endswith("\n") or _CONTROL.search(content):
        raise MalformedNote("a note is a text, an empty line, and lines of signatures")
    lines = signed[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedNote(f"a note has at most {MAX_SIGNATURES} signatures")
    return body + "\n", tuple(_parse_signature(line) for line in lines)


def _parse_signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_SIGNATURE_LINE).partition(" ")
    try:
        signature = base64_text.decoded(encoded)
    except ValueError:
        raise MalformedNote("a signature must be base64") from None
    if not line.startswith(_SIGNATURE_LINE) or not _KEY_NAME.fullmatch(name):
        raise MalformedNote("a signature line is a dash, a key name and base64")
    if len(signature) <= _KEY_ID_BYTES:
        raise MalformedNote("a signature is longer than its key id")
    return Signature(name=name, key_id=signature[:_KEY_ID_BYTES], signature=signature[_KEY_ID_BYTES:])


def _signature_line(line: Signature) -> str:
    encoded = base64_text.encoded(line.key_id + line.signature)
    return f"{_SIGNATURE_LINE}{line.name} {encoded}\n"


def _encode(text: str) -> bytes:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise MalformedNote("a note's text ends in a newline and has no other control characters")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise MalformedNote("a note is UTF-8 text") from None


def _key_name(name: str) -> str:
    if not _KEY_NAME.fullmatch(name):
        raise MalformedKey("a key name must not contain spaces, plus signs or control characters")
    return name
