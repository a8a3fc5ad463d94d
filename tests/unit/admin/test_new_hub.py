"""The command `kopuro admin init` with addresses: the files of a whole hub."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
import yaml
from sqlalchemy.engine import make_url

from admin.environment_files import read_environment, read_environments
from admin.new_hub import PUBLIC_SERVICES
from contracts.broker_rights import NOTHING
from kopuro_client.commands import ExitCode, main
from runtime.settings import Settings
from services.delivery.webhooks.adapters.key_file_seal import KeyFileSeal
from tests.support.certificates import PrivateCa

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
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


@pytest.mark.usefixtures("any_umask")
def test_services_with_accounts_of_their_own_reach_the_public_files_only(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    hub.mkdir()
    hub.chmod(0o711)
    assert init(hub, "--state", "/var/lib/kopuro") == ExitCode.OK
    environments = read_environments(hub / "env")
    assert environments["vault"]["KOPURO_VAULT_KEYS"] == "/var/lib/kopuro/vault/keys.sqlite"
    assert environments["audit"]["KOPURO_LOG_DIRECTORY"] == "/var/lib/kopuro/audit/log"
    assert not (hub / "state").exists()
    assert stat.S_IMODE(hub.stat().st_mode) == 0o711


@pytest.mark.usefixtures("any_umask")
def test_changed_manifest_stays_readable_for_the_services(tmp_path: Path) -> None:
    assert init(tmp_path / "hub") == ExitCode.OK
    assert main(["admin", "manifest", "add-key", str(tmp_path / "hub"), "intake"]) == ExitCode.OK
    assert stat.S_IMODE((tmp_path / "hub" / "manifest.jws").stat().st_mode) == 0o644


def test_services_compare_the_bindings_as_a_user_that_can_do_nothing_else(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    assert init(hub, "--management", "http://127.0.0.1:15672") == ExitCode.OK
    password = (hub / "broker" / "kg.watch.password").read_text().strip()
    for variables in read_environments(hub / "env").values():
        settings = Settings.from_environment(variables)
        assert settings.broker_management_uri == f"http://kg.watch:{password}@127.0.0.1:15672"
    document = json.loads((hub / "broker" / "definitions.json").read_text())
    assert [one["tags"] for one in document["users"] if one["name"] == "kg.watch"] == ["management"]
    (rights,) = [one for one in document["permissions"] if one["user"] == "kg.watch"]
    assert {rights["configure"], rights["write"], rights["read"]} == {NOTHING}


def test_directory_reads_the_clients_address_from_the_proxy_on_the_same_machine(tmp_path: Path) -> None:
    assert init(tmp_path / "hub") == ExitCode.OK
    settings = Settings.from_environment(read_environments(tmp_path / "hub" / "env")["directory"])
    assert [str(network) for network in settings.proxies] == ["127.0.0.1/32"]
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in (DEPLOY / "nginx" / "kopuro.conf").read_text()


def test_ports_are_those_that_the_proxy_and_prometheus_know(tmp_path: Path) -> None:
    assert init(tmp_path / "hub") == ExitCode.OK
    environments = read_environments(tmp_path / "hub" / "env")
    proxy = (DEPLOY / "nginx" / "kopuro.conf").read_text()
    upstreams = dict(re.findall(r"^upstream kopuro_(\w+) +\{ server ([\d.:]+);", proxy, re.MULTILINE))
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = [one for one in prometheus["scrape_configs"] if one["job_name"] == "kopuro"]
    targets = {one["labels"]["service"]: one["targets"] for one in job["static_configs"]}
    assert upstreams == {service: environments[service]["KOPURO_HTTP_ADDRESS"] for service in PUBLIC_SERVICES}
    assert targets == {
        service: [variables["KOPURO_OPERATIONS_ADDRESS"]] for service, variables in environments.items()
    }


def test_one_public_address_is_announced_for_every_service(tmp_path: Path) -> None:
    assert init(tmp_path / "hub", "--url", "https://hub.example") == ExitCode.OK
    announced = json.loads((tmp_path / "hub" / "discovery.json").read_text())["services"]
    assert set(announced) == set(SERVICES) - {"vault"}
    assert set(announced.values()) == {"https://hub.example"}


@pytest.mark.usefixtures("any_umask")
def test_secrets_are_in_private_files_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = tmp_path / "hub"
    assert init(hub) == ExitCode.OK
    printed = "".join(capsys.readouterr())
    found = secrets_in(hub)
    assert len(found) >= 7 + 6 + 2
    assert not [secret for secret in found if secret in printed]
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in hub.rglob("*") if file.is_file()}
    public = {"discovery.json", "manifest.jws", "hub.public.json"}
    assert {name for name, mode in modes.items() if mode != 0o600} == public
    assert {modes[name] for name in public} == {0o644}
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
    (hub / "hub.json").rename(tmp_path / "offline.json")  # `init` tells operators to move it away
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
        ("--database", "postgresql+psycopg2://me@db.example/{service}", "must not name a user"),
        ("--url", "ftp://{service}.example", "http:// or https://"),
        ("--operator", "kg.aigul", "is not an operator's name"),
        ("--management", "http://watch:pw@127.0.0.1:15672", "without a user"),
        ("--state", "state", "absolute path"),
        ("--broker-ca", "nowhere.pem", "is not a file"),
    ],
)
def test_wrong_option_is_named_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, reason: str
) -> None:
    assert init(tmp_path / "hub", option, value) == ExitCode.USAGE
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "hub").exists()
