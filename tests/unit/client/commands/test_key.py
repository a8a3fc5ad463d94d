import json
import stat
from pathlib import Path

from kopuro_client import open_sealed, public_key, seal
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response

KEYS = "/directory/v1/keys"


def test_generated_key_file_is_private_and_public_key_is_printed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    printed = run("key", "generate", str(file)).json()
    private = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert printed == public_key(private)
    assert open_sealed(seal({"name": "x"}, printed), private) == {"name": "x"}


def test_key_file_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text("precious")
    ran = run("key", "generate", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert file.read_text() == "precious"


def test_publish_sends_only_the_public_key(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    public = run("key", "generate", str(file)).json()
    hub.script("POST", KEYS, json_response(public, status=201))
    assert run("key", "publish", str(file)).out == public["kid"] + "\n"
    assert hub.requests_to(KEYS)[0].json() == public
