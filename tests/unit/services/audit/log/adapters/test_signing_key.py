"""The log key file. Errors never quote it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from contracts.errors import Defect
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier
from services.audit.log.domain.note import Ed25519Verifier
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
