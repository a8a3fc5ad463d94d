"""Checkpoints: the specification's example, and only canonical spellings."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.audit.log.domain.checkpoint import Checkpoint, MalformedCheckpoint
from services.audit.log.domain.merkle import EMPTY_ROOT, MAX_SIZE
from services.audit.log.domain.note import Ed25519Signer, open_note, sign

# The example of https://c2sp.org/tlog-checkpoint.
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


def test_checkpoint_of_the_specification_round_trips() -> None:
    checkpoint = Checkpoint.parse(EXAMPLE)
    assert checkpoint == Checkpoint(
        origin="example.com/behind-the-sofa", size=20_852_163, root=base64.b64decode(ROOT)
    )
    assert checkpoint.format() == EXAMPLE


def test_checkpoint_extension_lines_keep_their_order() -> None:
    checkpoint = Checkpoint.parse(EXAMPLE + "first\nsecond line\n")
    assert checkpoint.extensions == ("first", "second line")
    assert checkpoint.format() == EXAMPLE + "first\nsecond line\n"


def test_checkpoint_of_an_empty_log_is_valid() -> None:
    text = Checkpoint(origin="kg.example/log", size=0, root=EMPTY_ROOT).format()
    assert text == "kg.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    assert Checkpoint.parse(text).size == 0


def test_checkpoint_survives_signing_as_a_note() -> None:
    key = Ed25519Signer(name="kg.example/log", private_key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    checkpoint = Checkpoint(origin="kg.example/log", size=MAX_SIZE, root=EMPTY_ROOT, extensions=("x",))
    note = open_note(sign(checkpoint.format(), key), [key.verifier])
    assert Checkpoint.parse(note.text) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "origin\n1\n",
        f"\n1\n{ROOT}\n",
        f"origin\n1\n{ROOT}",
        f"origin\n1\n{ROOT}\n\n",
        f"origin\n1\n{ROOT}\n\nextension\n",
        f"origin\n1\n{ROOT}\nextension",
        f"origin\n01\n{ROOT}\n",
        f"origin\n+1\n{ROOT}\n",
        f"origin\n-1\n{ROOT}\n",
        f"origin\n 1\n{ROOT}\n",
        f"origin\n1_0\n{ROOT}\n",
        f"origin\n\u0661\n{ROOT}\n",
        f"origin\n\n{ROOT}\n",
        f"origin\n{MAX_SIZE + 1}\n{ROOT}\n",
        f"origin\n{'9' * 10_000}\n{ROOT}\n",
        "origin\n1\n\n",
        "origin\n1\nnot base64!\n",
        f"origin\n1\n{ROOT[:-1]}\n",
        f"origin\n1\n{ROOT[:-2]}J=\n",  # spare bits set: another spelling of the same bytes
        f"origin\n1\n{ROOT.replace('/', '_')}\n",
        f"origin\n1\n{ROOT} \n",
        "origin\n1\nAAAA\n",
        "origin\n1\n\u0410AAA\n",
        f"ori\tgin\n1\n{ROOT}\n",
        f"origin\r\n1\r\n{ROOT}\r\n",
    ],
)
def test_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedCheckpoint):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions"),
    [
        ("", 1, EMPTY_ROOT, ()),
        ("two\nlines", 1, EMPTY_ROOT, ()),
        ("origin", -1, EMPTY_ROOT, ()),
        ("origin", MAX_SIZE + 1, EMPTY_ROOT, ()),
        ("origin", 1, EMPTY_ROOT[1:], ()),
        ("origin", 1, EMPTY_ROOT, ("",)),
        ("origin", 1, EMPTY_ROOT, ("one\n\ntwo",)),
    ],
)
def test_checkpoint_with_invalid_values_is_refused(
    origin: str, size: int, root: bytes, extensions: tuple[str, ...]
) -> None:
    with pytest.raises(MalformedCheckpoint):
        Checkpoint(origin=origin, size=size, root=root, extensions=extensions)
