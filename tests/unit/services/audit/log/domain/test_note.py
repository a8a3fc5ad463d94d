"""Signed notes: the specification's example, forgeries, and invalid notes."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.log.domain.note import (
    MAX_SIGNATURES,
    Ed25519Signer,
    Ed25519Verifier,
    MalformedKey,
    MalformedNote,
    NoteError,
    UntrustedNote,
    key_id,
    open_note,
    sign,
)

# The examples of https://c2sp.org/signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    b"This is an example message.\n"
    b"\n"
    b"\xe2\x80\x94 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZ"
    b"XsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
EXAMPLE_POEM = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed è subito sera.\n"
    "\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU"
    "0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
).encode()
EXAMPLE = Ed25519Verifier.parse(EXAMPLE_KEY)
TEXT = "kg.example/log\nwith two lines\n"


def signer(name: str, seed: int = 1) -> Ed25519Signer:
    return Ed25519Signer(name=name, private_key=Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


LOG = signer("kg.example/log")
WITNESS = signer("witness.example", seed=2)


def bit_flips(data: bytes) -> Iterator[bytes]:
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def line(name: str, signature: bytes) -> bytes:
    return f"— {name} {base64.b64encode(signature).decode()}\n".encode()


def test_note_of_the_specification_verifies() -> None:
    note = open_note(EXAMPLE_NOTE, [EXAMPLE])
    assert note.text == "This is an example message.\n"
    assert [(s.name, s.key_id.hex()) for s in note.verified] == [("example.com/foo", "530d903a")]
    assert note.signatures == note.verified


def test_note_with_any_flipped_bit_is_refused() -> None:
    for changed in bit_flips(EXAMPLE_NOTE):
        with pytest.raises(NoteError):
            open_note(changed, [EXAMPLE])


def test_truncated_note_is_refused() -> None:
    for end in range(len(EXAMPLE_NOTE)):
        with pytest.raises(NoteError):
            open_note(EXAMPLE_NOTE[:end], [EXAMPLE])


def test_note_with_only_unknown_keys_is_untrusted() -> None:
    with pytest.raises(UntrustedNote, match="no known key"):
        open_note(EXAMPLE_POEM, [EXAMPLE])
    with pytest.raises(UntrustedNote, match="no known key"):
        open_note(EXAMPLE_NOTE, [])


def test_signed_note_opens() -> None:
    note = open_note(sign(TEXT, LOG), [LOG.verifier])
    assert note.text == TEXT
    assert [s.name for s in note.verified] == ["kg.example/log"]


def test_signed_note_has_the_specified_bytes() -> None:
    """Ed25519 is deterministic, so the whole note can be written down from the specification."""
    public_key = LOG.private_key.public_key().public_bytes_raw()
    raw = key_id(LOG.name, 1, public_key) + LOG.private_key.sign(TEXT.encode())
    assert sign(TEXT, LOG) == TEXT.encode() + b"\n" + line(LOG.name, raw)


def test_note_text_may_contain_empty_lines_and_signature_lines() -> None:
    inner = sign(TEXT, WITNESS).decode()
    outer = open_note(sign(inner, LOG), [LOG.verifier])
    assert outer.text == inner
    with pytest.raises(UntrustedNote):
        open_note(sign(inner, LOG), [WITNESS.verifier])


def test_unknown_signatures_are_kept_but_not_verified() -> None:
    note = open_note(sign(TEXT, WITNESS, LOG), [LOG.verifier])
    assert [s.name for s in note.signatures] == ["witness.example", "kg.example/log"]
    assert [s.name for s in note.verified] == ["kg.example/log"]


def test_keys_with_one_name_are_distinguished_by_key_id() -> None:
    rotated = signer("kg.example/log", seed=9)
    note = open_note(sign(TEXT, LOG, rotated), [rotated.verifier])
    assert [s.key_id for s in note.verified] == [rotated.key_id]


def test_key_that_signed_twice_counts_once() -> None:
    note = open_note(sign(TEXT, LOG, LOG), [LOG.verifier])
    assert len(note.signatures) == 2
    assert len(note.verified) == 1


def test_note_with_a_wrong_signature_of_a_known_key_is_untrusted() -> None:
    """A valid signature beside it does not help: one signer lies, and it is unknown which."""
    wrong = line(LOG.name, LOG.key_id + LOG.sign(b"another text\n"))
    with pytest.raises(UntrustedNote, match=r"kg\.example/log"):
        open_note(sign(TEXT, LOG) + wrong, [LOG.verifier])
    with pytest.raises(UntrustedNote):
        open_note(sign(TEXT, WITNESS) + wrong, [WITNESS.verifier, LOG.verifier])


@pytest.mark.parametrize("length", [1, 63, 65])
def test_signature_of_wrong_length_is_refused(length: int) -> None:
    short = line(LOG.name, LOG.key_id + bytes(length))
    with pytest.raises(UntrustedNote):
        open_note(TEXT.encode() + b"\n" + short, [LOG.verifier])


def test_signature_in_noncanonical_base64_is_refused() -> None:
    """Base64 leaves spare bits before its padding; setting them must not leave the note valid."""
    note = sign(TEXT, LOG)
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = note.rindex(b"=") - 2 if note.endswith(b"==\n") else note.rindex(b"=") - 1
    respelt = bytearray(note)
    respelt[last] = alphabet[alphabet.index(note[last]) ^ 1]
    assert base64.b64decode(respelt.split()[-1]) == base64.b64decode(note.split()[-1])
    with pytest.raises(MalformedNote):
        open_note(bytes(respelt), [LOG.verifier])


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        TEXT.encode() + line("kg.example/log", bytes(68)),
        b"text\r\n\n" + line("kg.example/log", bytes(68)),
        b"te\0xt\n\n" + line("kg.example/log", bytes(68)),
        b"te\xffxt\n\n" + line("kg.example/log", bytes(68)),
        b"text\n\n" + line("kg.example/log", bytes(68))[:-1],
        b"text\n\n" + line("kg.example/log", bytes(4)),
        b"text\n\n" + line("", bytes(68)),
        b"text\n\n" + line("a+b", bytes(68)),
        b"text\n\n" + line("a\u00a0b", bytes(68)),
        b"text\n\n- kg.example/log AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 kg.example/log\n",
        b"text\n\n\xe2\x80\x94 kg.example/log AAAAAAAA trailing\n",
        b"text\n\n\xe2\x80\x94 kg.example/log AAAA_AAA\n",
        b"text\n\n" + line("kg.example/log", bytes(68)) + b"a comment\n",
        b"text\n\n" + line("kg.example/log", bytes(68)) * (MAX_SIGNATURES + 1),
        b"t" * 1_000_000 + b"\n\n" + line("kg.example/log", bytes(68)),
    ],
)
def test_malformed_note_is_refused(note: bytes) -> None:
    with pytest.raises(MalformedNote):
        open_note(note, [LOG.verifier])


def test_sixteen_signatures_and_more_are_accepted() -> None:
    signers = [signer(f"witness-{number}.example", seed=number) for number in range(1, MAX_SIGNATURES + 1)]
    note = open_note(sign(TEXT, *signers), [s.verifier for s in signers])
    assert len(note.verified) == MAX_SIGNATURES >= 16


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "cr\r\n", "nul\0\n", "\ud800\n"])
def test_invalid_note_text_is_not_signed(text: str) -> None:
    with pytest.raises(MalformedNote):
        sign(text, LOG)


def test_note_without_signer_is_refused() -> None:
    with pytest.raises(MalformedNote):
        sign(TEXT)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "new\nline", "no\u2003break", "\0", "\ud800"])
def test_key_name_with_space_or_plus_is_refused(name: str) -> None:
    with pytest.raises(MalformedKey):
        signer(name)
    with pytest.raises(MalformedKey):
        Ed25519Verifier(name=name, public_key=bytes(32))


def test_verifier_key_round_trips() -> None:
    assert EXAMPLE.format() == EXAMPLE_KEY
    assert Ed25519Verifier.parse(LOG.verifier.format()) == LOG.verifier


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        EXAMPLE_KEY.replace("530d903a", "530d903b"),
        EXAMPLE_KEY.replace("530d903a", "530D903A"),
        EXAMPLE_KEY.replace("foo", "fob"),
        EXAMPLE_KEY.replace("Aeky", "BOky"),  # another algorithm's type byte
        EXAMPLE_KEY[:-4],
        EXAMPLE_KEY + "\n",
        EXAMPLE_KEY.replace("U2k", "U2l"),
    ],
)
def test_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedKey):
        Ed25519Verifier.parse(text)


def test_ambiguous_verifiers_are_refused() -> None:
    class Careless:
        name = LOG.name
        key_id = LOG.key_id

        def verify(self, text: bytes, signature: bytes) -> bool:
            return True

    note = sign(TEXT, LOG)
    open_note(note, [LOG.verifier, LOG.verifier])
    with pytest.raises(ValueError, match="share the name"):
        open_note(note, [LOG.verifier, Careless()])


def test_signer_repr_hides_the_private_key() -> None:
    assert "private" not in repr(LOG)
