"""The command `kopuro admin init` with addresses: the files of a whole hub."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from admin.environment_files import read_environment, read_environments
from kopuro_client.commands import ExitCode, main
from runtime.settings import Settings
from services.delivery.webhooks.adapters.key_file_seal import KeyFileSeal
from tests.support.certificates import PrivateCa

SERVICES = ("intake", "routing", "delivery", "directory", "vault", "audit")
ADDRESSES = [
    *("--hub", "kg", "--broker", "amqps://broker.example:5671/kopuro"),
    *("--database", "postgresql+psycopg2://db.example/kopuro_{service}"),
    *("--url", "https://{service}.example", "--operator", "aigul", "--operator", "bakyt"),
]


def init(directory: Path, *more: str) -> int:
    return main(["admin", "init", str(directory), *ADDRESSES, *more])


def secrets_in(directory: Path) -> set[str]:
    found = {file.read_text().strip() for file in directory.rglob("*.password")}
    found |= {read_environment(file)["KOPURO_CLIENT_SECRET"] for file in directory.glob("operators/*.env")}
    return found | {
        json.loads(file.read_text())["d"] for file in directory.glob("*.json") if "d" in json_of(file)
    }


def json_of(file: Path) -> dict[str, object]:
    document = json.loads(file.read_text())
    return document if isinstance(document, dict) else {}


def test_every_service_starts_with_the_written_environment(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    hub = tmp_path / "hub"
    assert init(hub, "--broker-ca", str(ca.file), "--database-ca", str(ca.file)) == ExitCode.OK
    addresses = set()
    for service, variables in read_environments(hub / "env").items():
        settings = Settings.from_environment(variables)
        assert settings.broker_tls is not None
        assert settings.broker_tls.ca == ca.file
        assert settings.amqp_uri.startswith(f"amqps://kg.{service}:")
        url = make_url(settings.database_url)
        assert (url.username, url.database) == (f"kopuro_{service}", f"kopuro_{service}")
        addresses |= {str(settings.http_address), str(settings.operations_address)}
        assert (settings.webhook_key is not None) == (service == "delivery")
        assert (settings.vault_keys is not None) == (service == "vault")
        assert (settings.custody_key is not None) == (service == "vault")
        assert (settings.log_signing_key is not None) == (service == "audit")
        assert (settings.token_signing_key is not None) == (service == "directory")
    assert len(addresses) == 12
    discovery = json.loads((hub / "discovery.json").read_text())
    assert discovery["custody_key"] == {
        name: value for name, value in json.loads((hub / "custody.json").read_text()).items() if name != "d"
    }
    assert discovery["services"]["intake"] == "https://intake.example"


def test_delivery_can_use_the_webhook_key_and_a_repeated_run_keeps_it(tmp_path: Path) -> None:
    assert init(tmp_path / "hub") == ExitCode.OK
    key = tmp_path / "hub" / "webhook.key"
    written = key.read_bytes()
    KeyFileSeal.from_file(key)
    assert init(tmp_path / "hub") == ExitCode.OK
    assert key.read_bytes() == written


def test_one_public_address_is_announced_for_every_service(tmp_path: Path) -> None:
    assert init(tmp_path / "hub", "--url", "https://hub.example") == ExitCode.OK
    announced = json.loads((tmp_path / "hub" / "discovery.json").read_text())["services"]
    assert set(announced) == set(SERVICES) - {"vault"}
    assert set(announced.values()) == {"https://hub.example"}


def test_secrets_are_in_private_files_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = tmp_path / "hub"
    assert init(hub) == ExitCode.OK
    printed = "".join(capsys.readouterr())
    found = secrets_in(hub)
    assert len(found) >= 7 + 6 + 2
    assert not [secret for secret in found if secret in printed]
    assert {stat.S_IMODE(file.stat().st_mode) for file in hub.rglob("*") if file.is_file()} == {0o600}
    assert {stat.S_IMODE(file.stat().st_mode) for file in hub.rglob("*") if file.is_dir()} == {0o700}
    # The script for psql has verifiers, no passwords.
    script = (hub / "databases" / "roles.sql").read_text()
    assert not [secret for secret in found if secret in script]


def test_repeated_run_completes_and_keeps_what_exists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = tmp_path / "hub"
    assert init(hub) == ExitCode.OK
    passwords = secrets_in(hub) - {json.loads((hub / "hub.json").read_text())["d"]}
    lost = hub / "env" / "routing.env"
    expected = lost.read_text()
    lost.unlink()
    (hub / "hub.json").rename(tmp_path / "offline.json")  # as `init` asks
    edited = hub / "env" / "intake.env"
    edited.write_text(edited.read_text().replace("127.0.0.1:8001", "10.0.0.5:443"))
    capsys.readouterr()
    assert init(hub) == ExitCode.OK
    out, err = capsys.readouterr()
    assert lost.read_text() == expected
    assert f"wrote {lost}" in out
    assert "10.0.0.5:443" in edited.read_text()
    assert f"{edited} was kept; these options would give it another KOPURO_HTTP_ADDRESS" in err
    assert secrets_in(hub) == passwords


def test_keys_of_another_hub_are_not_reused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = tmp_path / "hub"
    assert main(["admin", "init", str(hub), "--hub", "ru"]) == ExitCode.OK
    assert init(hub) == ExitCode.USAGE
    assert "has the keys of the hub ru, not of kg" in capsys.readouterr().err
    assert not (hub / "env").exists()


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--broker", "amqps://guest:guest@broker.example/kopuro", "without a user"),
        ("--broker", "https://broker.example", "amqp:// or amqps://"),
        ("--database", "postgresql+psycopg2://db.example/kopuro", "contains {service}"),
        ("--database", "postgresql+psycopg2://me@db.example/{service}", "names no user"),
        ("--url", "ftp://{service}.example", "http:// or https://"),
        ("--operator", "kg.aigul", "is no operator's name"),
        ("--broker-ca", "nowhere.pem", "is not a file"),
    ],
)
def test_wrong_option_is_named_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, reason: str
) -> None:
    assert init(tmp_path / "hub", option, value) == ExitCode.USAGE
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "hub").exists()
