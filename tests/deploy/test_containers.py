"""The image and the compose file, as far as they can be checked without an engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from contracts.manifest import read_manifest
from contracts.signatures import VerificationKey
from runtime.shutdown import BOUND_SECONDS
from runtime.web.client_address import client_address
from tests.deploy.settings_names import DEPLOY, ROOT, SERVICES, missing

COMPOSE = DEPLOY / "compose"
CONTAINERFILE = (DEPLOY / "container" / "Containerfile").read_text(encoding="utf-8")
MIGRATIONS = {f"migrate-{service}": service for service in SERVICES}
WRITTEN_BY_PREPARE = ("./config/", "./secrets/")


def _document(name: str = "compose.yaml") -> dict[str, Any]:
    """The compose file, with its variables, anchors and merges resolved."""
    text = (COMPOSE / name).read_text(encoding="utf-8").replace("$$", "$")
    text = re.sub(r"\$\{(\w+):([-?])([^}]*)\}", lambda found: found[3] if found[2] == "-" else "kg", text)
    loaded: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    return loaded


DOCUMENT = _document()
CONTAINERS: Mapping[str, Any] = DOCUMENT["services"]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.rabbitmq-3.13.yaml"])
def test_compose_files_follow_the_specification(name: str) -> None:
    """Without the extension fields, whose anchors YAML has resolved."""
    document = {key: value for key, value in _document(name).items() if key[:2] != "x-"}
    PyCompose.from_json(json.dumps(document))


def test_specification_has_no_such_field() -> None:
    intake = {**CONTAINERS["intake"], "read_onyl": True}
    with pytest.raises(ValueError, match="read_onyl"):
        PyCompose.from_json(json.dumps({"services": {"intake": intake}}))


@pytest.mark.parametrize("service", SERVICES)
def test_container_has_its_service_with_its_settings_and_no_others(service: str) -> None:
    container = CONTAINERS[service]
    environment = container["environment"]
    mounted = {f"/run/secrets/{secret['target']}" for secret in container["secrets"]}

    assert container["command"] == ["runtime", f"services.{service}"]
    assert missing(service, frozenset(environment)) == set()
    assert {value for value in environment.values() if str(value).startswith("/run/secrets/")} == mounted


@pytest.mark.parametrize("service", SERVICES)
def test_container_holds_no_secret_of_another_service(service: str) -> None:
    theirs = {name for name in SERVICES if name != service}
    for container in (CONTAINERS[service], CONTAINERS[f"migrate-{service}"]):
        sources = {secret["source"] for secret in container["secrets"]}
        assert {source for source in sources if source.partition("-")[0] in theirs} == set()


def test_migrations_run_only_when_asked_for() -> None:
    for name, service in MIGRATIONS.items():
        assert CONTAINERS[name]["command"] == ["runtime.storage.migrate", f"services.{service}"]
        assert CONTAINERS[name]["profiles"] == ["migrate"]


def test_every_container_has_command_account_health_check_and_hardening() -> None:
    for name, container in CONTAINERS.items():
        account = str(container["user"]).partition(":")[0]
        assert account.isdigit(), name
        assert account != "0", name
        assert "command" in container, name
        assert container["read_only"] is True, name
        assert container["cap_drop"] == ["ALL"], name
        assert container["security_opt"] == ["no-new-privileges:true"], name
        assert (name in MIGRATIONS) == (container["healthcheck"] == {"disable": True}), name


def test_broker_may_open_as_many_files_as_the_units_of_debian() -> None:
    assert CONTAINERS["broker"]["ulimits"]["nofile"] == 65_536


def test_no_container_with_data_of_persons_or_keys_leaves_its_memory_in_a_file() -> None:
    for name in (*SERVICES, *MIGRATIONS, "broker", "database", "proxy"):
        assert CONTAINERS[name]["ulimits"]["core"] == 0, name
    assert CONTAINERS["broker"]["environment"]["ERL_CRASH_DUMP_SECONDS"] == "0"


def test_only_proxy_and_loopback_are_reached_from_outside() -> None:
    ports = {name: container["ports"] for name, container in CONTAINERS.items() if "ports" in container}

    assert ports == {"proxy": ["443:8443"], "grafana": ["127.0.0.1:3000:3000"]}
    assert DOCUMENT["networks"]["internal"] == {"internal": True}
    outside = {name for name, container in CONTAINERS.items() if "outside" in container["networks"]}
    assert outside == {"proxy", "grafana", "delivery"}


def test_unit_files_allow_services_time_to_stop() -> None:
    for service in SERVICES:
        assert float(CONTAINERS[service]["stop_grace_period"].removesuffix("s")) > BOUND_SECONDS


def test_no_file_has_a_password_in_it() -> None:
    """Passwords come from the files of `prepare`, by variables that name a file."""
    for container in CONTAINERS.values():
        for name, value in container.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|URI|URL", name):
                assert str(value).startswith("/run/secrets/"), name


def test_every_secret_and_mounted_file_exists(prepared: Path) -> None:
    secrets = {name: prepared / secret["file"] for name, secret in DOCUMENT["secrets"].items()}
    used = {secret["source"] for container in CONTAINERS.values() for secret in container.get("secrets", ())}
    binds = {
        volume["source"]
        for container in CONTAINERS.values()
        for volume in container["volumes"]
        if volume["type"] == "bind"
    }
    places = {
        source: (prepared if source.startswith(WRITTEN_BY_PREPARE) else COMPOSE) / source for source in binds
    }

    assert used == set(secrets)
    assert {name for name, file in secrets.items() if not file.read_bytes().strip()} == set()
    # The dashboards are written beside this folder.
    assert {source for source, place in places.items() if not place.exists()} <= {"../grafana"}


def test_named_volumes_exist() -> None:
    named = {
        volume["source"]
        for container in CONTAINERS.values()
        for volume in container["volumes"]
        if volume["type"] == "volume"
    }

    assert named == set(DOCUMENT["volumes"])


def test_prepared_secrets_are_closed_and_fit_together(prepared: Path) -> None:
    secrets, public = prepared / "secrets", prepared / "config" / "public"
    root = VerificationKey(json.loads((public / "hub.public.json").read_text(encoding="utf-8")))
    manifest = read_manifest((public / "manifest.jws").read_text(encoding="utf-8"), root)
    discovery = json.loads((public / "discovery.json").read_text(encoding="utf-8"))
    custody = json.loads((secrets / "custody-key").read_text(encoding="utf-8"))

    assert secrets.stat().st_mode & 0o077 == 0
    assert manifest.hub == discovery["hub"] == "kg"
    assert discovery["custody_key"] == {name: custody[name] for name in custody if name != "d"}
    for service in SERVICES:
        key = json.loads((secrets / f"{service}-service-key").read_text(encoding="utf-8"))
        assert key["kid"] in [one.kid for one in manifest.services[service].keys]
        url = (secrets / f"{service}-database-url").read_text(encoding="utf-8")
        password = url.partition(":")[2].partition(":")[2].partition("@")[0]
        assert f"kopuro_{service} LOGIN PASSWORD '{password}'" in (secrets / "database-roles").read_text()


def test_prepared_certificates_are_for_the_containers_names(prepared: Path) -> None:
    config = prepared / "config"
    for name, file in (
        ("broker", config / "broker" / "cert.pem"),
        ("database", config / "database" / "database.pem"),
        ("hub.example", config / "hub.pem"),
    ):
        command = ["openssl", "verify", "-purpose", "sslserver", "-verify_hostname", name]
        done = subprocess.run(
            [*command, "-CAfile", config / "public" / "ca.pem", file], capture_output=True, check=False
        )
        assert done.returncode == 0, (name, done.stderr)


def test_prepared_addresses_are_those_of_the_containers(prepared: Path) -> None:
    proxy = (prepared / "config" / "nginx" / "kopuro.conf").read_text(encoding="utf-8")
    scraped = (prepared / "config" / "prometheus.yml").read_text(encoding="utf-8")
    upstreams = re.findall(r"^upstream kopuro_(\w+) .*server (\S+) resolve;", proxy, re.MULTILINE)

    assert dict(upstreams) == {name: f"{name}:8000" for name in SERVICES if name != "vault"}
    assert CONTAINERS["intake"]["environment"]["KOPURO_HTTP_ADDRESS"].endswith(":8000")
    for service in SERVICES:
        assert f"{service}:9100" in scraped
        assert CONTAINERS[service]["environment"]["KOPURO_OPERATIONS_ADDRESS"].endswith(":9100")
    assert "127.0.0.1:8" not in proxy
    assert re.findall(r"^ *(?:access|error)_log (\S+)", proxy, re.MULTILINE) == ["/dev/stdout", "/dev/stderr"]
    assert "127.0.0.1" not in scraped


def test_directory_reads_the_clients_address_from_the_proxys_container() -> None:
    networks = CONTAINERS["directory"]["environment"]["KOPURO_PROXIES"].split(",")
    for address in ("172.18.0.5", "192.168.16.5", "10.89.0.5", "fd00::5"):
        assert client_address(address, "192.0.2.7", [ip_network(one) for one in networks]) == "192.0.2.7"


def test_image_has_no_root_and_installs_locked_wheels_only() -> None:
    final = CONTAINERFILE.rpartition("\nFROM ")[2]
    installs = re.findall(r"pip .*?install ((?:.|\\\n)*?)(?= &&|\nCOPY|\n RUN|\Z)", CONTAINERFILE)
    account = re.findall(r"^USER (\d+):\d+$", final, re.MULTILINE)

    assert account == [CONTAINERS["intake"]["user"].partition(":")[0]]
    assert len(installs) == 3
    for options in installs:
        assert "--require-hashes" in options or "--no-deps --no-index" in options
    assert "pip install" not in final
    assert 'ENTRYPOINT ["python", "-m"]' in final


def test_image_is_built_from_files_that_exist_and_are_not_ignored() -> None:
    ignored = (DEPLOY / "container" / "Containerfile.containerignore").read_text(encoding="utf-8")
    kept = set(re.findall(r"^!(\S+)$", ignored, re.MULTILINE))
    stage = CONTAINERFILE.partition("\nFROM ")[2].partition("\nFROM ")[0]
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", stage, re.MULTILINE)
        for source in line.split()[:-1]
    }

    assert copied == kept
    assert {source for source in copied if not (ROOT / source).exists()} == set()
    docker = (DEPLOY / "container" / "Containerfile.dockerignore").read_text(encoding="utf-8")
    assert docker == ignored


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed")
def test_prepared_prometheus_configuration_is_accepted(prepared: Path) -> None:
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", prepared / "config" / "prometheus.yml"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
