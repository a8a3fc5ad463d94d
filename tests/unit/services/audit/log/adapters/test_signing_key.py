"""The log key file. Errors never quote it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from contracts.errors import Defect
from services.audit.log.adapters.signing_key import LogKeyFile, load_log_key
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier
from services.audit.log.domain.note import Ed25519Verifier, NoteError
from tests.unit.services.audit.logs import NOON


def test_log_key_from_file_signs_with_the_hub_origin(tmp_path: Path) -> None:
    jwk = OKPKey.generate_key("Ed25519", private=True)
    file = tmp_path / "key.json"
    file.write_text(json.dumps(jwk.as_dict(private=True)))
    key = load_log_key(file, "kg")
    assert key.origin == "kopuro/kg"
    assert Ed25519Verifier.parse(key.verifier_key).name == "kopuro/kg"
    assert load_log_key(file, "kg").read(key.sign(Frontier(), Chronology(), NOON).checkpoint).size == 0


def test_invalid_log_key_is_refused_without_quoting_it(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    public = OKPKey.generate_key("Ed25519", private=True).as_dict(private=False)
    agreement = OKPKey.generate_key("X25519", private=True).as_dict(private=True)
    for content in ("", "secret words", "[]", '{"kty":"OKP"}', json.dumps(public), json.dumps(agreement)):
        file.write_text(content)
        with pytest.raises(Defect) as caught:
            load_log_key(file, "kg")
        assert not content or content not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for missing in (None, tmp_path / "nowhere.json"):
        with pytest.raises(Defect, match="KOPURO_LOG_SIGNING_KEY"):
            load_log_key(missing, "kg")


def _written(file: Path, *keys: OKPKey) -> None:
    copy = file.with_suffix(".new")
    copy.write_text(json.dumps({"keys": [key.as_dict(private=True) for key in keys]}))
    copy.replace(file)


def test_added_key_signs_beside_the_earlier_one_and_alone_once_that_is_removed(tmp_path: Path) -> None:
    file, earlier, new = tmp_path / "key.json", *(OKPKey.generate_key("Ed25519") for _ in range(2))
    _written(file, earlier)
    key = LogKeyFile(file, "kg")
    first, former = key.sign(Frontier(), Chronology(), NOON), load_log_key(file, "kg")
    _written(file, new, earlier)
    both = key.sign(Frontier(), Chronology(), NOON)
    assert key.read(first.checkpoint) == key.read(both.checkpoint) == former.read(both.checkpoint)
    assert key.verifier_key == load_log_key(file, "kg").verifier_key != former.verifier_key
    _written(file, new)
    alone = key.sign(Frontier(), Chronology(), NOON)
    assert key.read(alone.checkpoint) == key.read(both.checkpoint)
    for note in (alone.checkpoint, first.checkpoint):
        with pytest.raises(NoteError):
            (former if note == alone.checkpoint else key).read(note)


@pytest.mark.parametrize("content", ["another key", "no JSON", "no file"])
def test_file_without_the_present_key_changes_nothing(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file, present = tmp_path / "key.json", OKPKey.generate_key("Ed25519")
    _written(file, present)
    key = LogKeyFile(file, "kg")
    used = key.verifier_key
    if content == "another key":
        _written(file, OKPKey.generate_key("Ed25519"))
    elif content == "no JSON":
        file.write_text("secret words")
    else:
        file.unlink()
    assert key.read(key.sign(Frontier(), Chronology(), NOON).checkpoint).size == 0
    assert key.verifier_key == used
    assert "key file unusable" in caplog.text
    assert "secret words" not in caplog.text
    _written(file, OKPKey.generate_key("Ed25519"), present)
    assert key.verifier_key == load_log_key(file, "kg").verifier_key != used
