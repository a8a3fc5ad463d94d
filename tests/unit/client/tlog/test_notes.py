"""Notes, keys, cosignatures and checkpoints, with the specifications' examples and further cases."""

from __future__ import annotations

import base64

import pytest

from kopuro_client.tlog import (
    Algorithm,
    MalformedError,
    SignedNote,
    SigningKey,
    UntrustedError,
    VerifierKey,
    parse_checkpoint,
    signature_line,
)
from tests.unit.client.tlog.log_writer import LOG, WITNESSES, Log, entries

# https://c2sp.org/signed-note
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Zt"
    "g1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# golang.org/x/mod/sumdb/note, its documentation's key pair
GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZ"
    "b6KE6RyyBwJnAM=\n"
)
# https://c2sp.org/tlog-cosignature
COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q"
    "1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin"
    "1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_example_note_of_specification_verifies() -> None:
    key = VerifierKey.parse(EXAMPLE_KEY)
    assert str(key) == EXAMPLE_KEY
    (signed,) = SignedNote.parse(EXAMPLE).signatures_by([key])
    assert (signed.key, signed.time) == (key, None)


def test_signed_note_equals_the_note_of_the_go_library() -> None:
    key = SigningKey.parse(GO_SECRET)
    assert (str(key.verifier), key.secret_text()) == (GO_PUBLIC, GO_SECRET)
    assert f"{GO_TEXT}\n{signature_line(GO_TEXT, key, time=1)}" == GO_NOTE
    assert GO_SECRET.rpartition("+")[2] not in repr(key)


def test_example_cosigned_checkpoint_of_specification_is_parsed() -> None:
    note = SignedNote.parse(COSIGNED)
    assert str(note) == COSIGNED
    assert [line.name for line in note.lines] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert int.from_bytes(note.lines[1].signature[:8], "big") == 1679315147
    with pytest.raises(UntrustedError):
        parse_checkpoint(COSIGNED, [VerifierKey.parse(EXAMPLE_KEY)])


def test_checkpoint_has_signers_and_times() -> None:
    log = Log(entries(5))
    keys = [VerifierKey.parse(key.vkey) for key in (LOG, *WITNESSES)]
    checkpoint = parse_checkpoint(log.note(time=1_800_000_000), keys)
    assert (checkpoint.origin, checkpoint.size) == ("kopuro/test", 5)
    assert [(one.key.name, one.time) for one in checkpoint.signatures] == [
        ("kopuro/test", None),
        ("witness.example/one", 1_800_000_000),
        ("witness.example/two", 1_800_000_000),
    ]


def test_cosignature_equals_the_log_writers() -> None:
    text = Log(entries(3)).text()
    key = SigningKey(name=WITNESSES[0].name, seed=WITNESSES[0].seed)
    assert str(signature_line(text, key, time=77)) == WITNESSES[0].line(text, 77)


def test_signature_lines_of_unknown_keys_are_ignored() -> None:
    key = VerifierKey.parse(LOG.vkey)
    note = SignedNote.parse(Log(entries(3)).note())
    assert [one.key for one in note.signatures_by([key])] == [key]
    stranger = SigningKey.generate(LOG.name, Algorithm.ED25519).verifier  # the same name, another key
    assert note.signatures_by([stranger]) == ()


def test_key_with_two_signatures_counts_once() -> None:
    log = Log(entries(3), keys=(LOG, LOG))
    assert len(parse_checkpoint(log.note(), [VerifierKey.parse(LOG.vkey)]).signatures) == 1


def test_valid_signature_beside_invalid_one_of_same_key_is_refused() -> None:
    text = Log(entries(3)).text()
    note = f"{text}\n{LOG.line(text)}{LOG.line(text + 'x')}"
    with pytest.raises(UntrustedError):
        parse_checkpoint(note, [VerifierKey.parse(LOG.vkey)])


def test_cosignature_is_bound_to_its_time_and_algorithm() -> None:
    text = Log(entries(3)).text()
    key = VerifierKey.parse(WITNESSES[0].vkey)
    name, encoded = WITNESSES[0].line(text)[2:].split()
    data = bytearray(base64.b64decode(encoded))
    data[11] ^= 1  # the last byte of the time
    with pytest.raises(UntrustedError):
        SignedNote.parse(f"{text}\n— {name} {base64.b64encode(data).decode()}\n").signatures_by([key])
    assert not key.verify(text.encode(), bytes(data[12:]))
    assert not key.verify(text.encode(), b"\xff" * 72)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA=",
        "text\n\n— name AAAAAAA=",  # no newline at the end
        "text\n\n— name AAAA\n",  # nothing after the key id
        "text\n\n— name AAAAAAB=\n",  # non-canonical base64
        "text\n\n— na+me AAAAAAA=\n",
        "text\n\n- name AAAAAAA=\n",
        "te\txt\n\n— name AAAAAAA=\n",
        "text\n\n" + "— name AAAAAAA=\n" * 101,
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        "x" * 1_000_000 + "\n\n— name AAAAAAA=\n",
    ],
)
def test_invalid_note_is_refused(note: bytes | str) -> None:
    with pytest.raises(MalformedError):
        SignedNote.parse(note)


@pytest.mark.parametrize(
    "text",
    [
        "kopuro/test\n5\n",
        "kopuro/test\n05\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n",
        "kopuro/test\n-5\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n",
        "kopuro/test\n9223372036854775808\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n",
        "kopuro/test\n5\nqqqq\n",
        "kopuro/test\n5\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq=\n",
        "kopuro/test\n5\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n\nmore\n",
        "\n5\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n",
    ],
)
def test_invalid_checkpoint_is_refused_even_if_signed(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_checkpoint(f"{text}\n{LOG.line(text)}", [VerifierKey.parse(LOG.vkey)])


def test_checkpoint_keeps_extension_lines() -> None:
    text = Log(entries(3)).text() + "something of the log's own\n"
    checkpoint = parse_checkpoint(f"{text}\n{LOG.line(text)}", [VerifierKey.parse(LOG.vkey)])
    assert checkpoint.extensions == ("something of the log's own",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+530d903a",
        EXAMPLE_KEY[:-1],
        EXAMPLE_KEY.replace("530d903a", "530d903b"),
        EXAMPLE_KEY.replace("example.com", "example.org"),
        EXAMPLE_KEY.replace("530d903a", "530D903A"),
        "name+00000000+Bekyebbm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",  # type 05
        "name+00000000+AQ==",
        "na me" + EXAMPLE_KEY[15:],
    ],
)
def test_invalid_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        VerifierKey.parse(text)
    with pytest.raises(MalformedError):
        SigningKey.parse("PRIVATE+KEY+" + text)
