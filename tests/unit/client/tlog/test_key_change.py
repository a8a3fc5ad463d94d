from __future__ import annotations

from pathlib import Path

import pytest

from kopuro_client.commands import ExitCode, main
from kopuro_client.tlog.errors import MalformedError, UntrustedError
from kopuro_client.tlog.key_change import TITLE, new_log_key
from kopuro_client.tlog.keys import Algorithm, SigningKey
from kopuro_client.tlog.note import SignedNote, signature_line

ORIGIN = "kopuro/kg"
EARLIER, NEW, OTHER = (SigningKey.generate(ORIGIN, Algorithm.ED25519) for _ in range(3))
FOREIGN = SigningKey.generate("kopuro/uz", Algorithm.ED25519)


def statement(*signers: SigningKey, origin: str = ORIGIN, title: str = TITLE, key: SigningKey = NEW) -> str:
    text = f"{origin}\n{title}\n{key.verifier}\n"
    return str(SignedNote(text=text, lines=tuple(signature_line(text, one, time=1) for one in signers)))


def test_new_key_of_a_statement_that_both_keys_signed_is_returned() -> None:
    assert new_log_key(statement(EARLIER, NEW), [OTHER.verifier, EARLIER.verifier]) == NEW.verifier


@pytest.mark.parametrize(
    "untrusted",
    [
        statement(NEW),
        statement(EARLIER),
        statement(OTHER, NEW),
        statement(EARLIER, FOREIGN, key=FOREIGN),
        statement(EARLIER, NEW, origin="kopuro/uz"),
    ],
)
def test_statement_that_one_of_the_keys_did_not_sign_is_not_trusted(untrusted: str) -> None:
    with pytest.raises(UntrustedError):
        new_log_key(untrusted, [EARLIER.verifier])


@pytest.mark.parametrize("malformed", [statement(EARLIER, NEW, title="a checkpoint"), "", "kopuro/kg\n"])
def test_other_note_is_not_a_statement(malformed: str) -> None:
    with pytest.raises(MalformedError):
        new_log_key(malformed, [EARLIER.verifier])


def test_command_prints_the_new_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log-key-change.txt"
    file.write_text(statement(EARLIER, NEW))
    command = ["verify", "key-change", str(file), "--log-key"]
    assert main([*command, str(EARLIER.verifier)]) == ExitCode.OK
    assert capsys.readouterr().out == f"{NEW.verifier}\n"
    assert main([*command, str(OTHER.verifier)]) == ExitCode.NOT_VERIFIED
    assert str(NEW.verifier) not in capsys.readouterr().out
