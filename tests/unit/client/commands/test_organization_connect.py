"""`kopuro organization connect`: what it refuses before it asks the hub for anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from admin.partner_access import users_of
from kopuro_client.client_key import generate_client_key
from kopuro_client.commands import ExitCode, main
from kopuro_client.errors import InvalidArgumentError
from tests.support.certificates import PrivateCa
from tests.unit.client.fake_hub import FakeHub

MANAGEMENT = "https://kg.gateway:secret@127.0.0.1:1"


@pytest.mark.parametrize("command", ["connect", "disconnect"])
def test_organization_command_without_amqp_asks_for_it(
    command: str, hub: FakeHub, credentials: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "gateway.json"
    key.write_text(json.dumps(generate_client_key("gateway-1")[0]))
    where = ("--discovery", hub.url, "--credentials", str(credentials), "--as", "kg.osh-legal-aid")
    more = ("--gateway-key", str(key)) if command == "connect" else ()

    code = main(["organization", command, "kg.x", "--management-uri", MANAGEMENT, *more, *where])
    assert (code, "give --amqp" in capsys.readouterr().err) == (ExitCode.USAGE, True)
    assert [one for one in hub.received if one.method != "GET"] == []


def test_unusable_ca_is_refused_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPURO_BROKER_CA", str(tmp_path / "absent.pem"))
    with pytest.raises(InvalidArgumentError, match="KOPURO_BROKER_CA does not name a file"):
        users_of(MANAGEMENT, None)

    monkeypatch.setenv("KOPURO_BROKER_CA", str(PrivateCa(tmp_path).file))
    assert users_of(MANAGEMENT, None) is not None
