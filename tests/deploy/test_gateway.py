"""The gateway in containers: it starts with what `prepare-gateway` writes, and with no secret of the hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from runtime.settings import Settings
from runtime.shutdown import BOUND_SECONDS
from services.gateway import bootstrap
from tests.deploy.kubernetes_schema import schema_of
from tests.deploy.settings_names import DEPLOY, settings
from tests.support.certificates import PrivateCa

COMPONENT = DEPLOY / "kubernetes" / "gateway"
SECRETS = {"amqp-uri", "management-uri", "gateway-key"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that `prepare-gateway` has written."""
    directory = tmp_path_factory.mktemp("gateway")
    kopuro = Path(sys.executable).with_name("kopuro")
    ca = PrivateCa(tmp_path_factory.mktemp("ca")).file
    addresses = ("amqps://amqp.hub.example:5671", "https://amqp.hub.example:15671")
    subprocess.run(
        [DEPLOY / "compose" / "prepare-gateway", "kg", *addresses, ca, directory],
        env={**os.environ, "KOPURO": str(kopuro)},
        check=True,
        capture_output=True,
    )
    return directory


def _document(name: str) -> dict[str, Any]:
    text = (DEPLOY / "compose" / name).read_text(encoding="utf-8")
    text = re.sub(r"\$\{(\w+):([-?])([^}]*)\}", lambda found: found[3] if found[2] == "-" else "kg", text)
    loaded: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    return loaded


def _pod() -> dict[str, Any]:
    resources = yaml.safe_load_all((COMPONENT / "gateway.yaml").read_text(encoding="utf-8"))
    (deployment,) = [one for one in resources if one["kind"] == "Deployment"]
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


def _starts(environment: Mapping[str, str], places: Mapping[str, Path]) -> None:
    """Build the gateway with the environment, whose paths in the container are these of `prepare-gateway`."""
    assert set(environment) <= settings()
    moved = {
        name: str(places[value.rpartition("/")[2]]) if value.startswith(("/run/", "/etc/")) else value
        for name, value in environment.items()
    }
    application = bootstrap.build(Settings.from_environment(moved, is_client=True))
    application.close()


@pytest.fixture
def places(written: Path, prepared: Path) -> dict[str, Path]:
    """The written files by their names in the container."""
    return {
        **{name: written / "secrets" / name for name in ("gateway-key",)},
        "amqp-uri": written / "secrets" / "gateway-amqp-uri",
        "management-uri": written / "secrets" / "gateway-management-uri",
        "partners-ca.pem": written / "config" / "partners-ca.pem",
        "discovery.json": prepared / "config" / "public" / "discovery.json",
    }


def test_container_starts_with_the_written_files(places: dict[str, Path]) -> None:
    document = _document("compose.gateway.yaml")
    gateway = document["services"]["gateway"]

    PyCompose.from_json(json.dumps({"services": {"gateway": gateway}}))
    _starts(gateway["environment"], places)
    assert gateway["command"] == ["runtime", "services.gateway"]
    assert {secret["target"] for secret in gateway["secrets"]} == SECRETS
    assert {secret["source"] for secret in gateway["secrets"]} == set(document["secrets"])
    assert float(gateway["stop_grace_period"].removesuffix("s")) > BOUND_SECONDS


def test_container_is_hardened_and_cannot_reach_the_hubs_broker() -> None:
    document = _document("compose.gateway.yaml")
    gateway = document["services"]["gateway"]
    base = _document("compose.yaml")

    for name in ("restart", "read_only", "cap_drop", "security_opt", "logging"):
        assert gateway[name] == base["x-hardened"][name]
    for name in ("image", "user", "tmpfs", "stop_signal", "ulimits", "healthcheck"):
        assert gateway[name] == base["x-service"][name]
    assert "ports" not in gateway
    assert not set(gateway["networks"]) & set(base["services"]["broker"]["networks"])
    assert not set(gateway["networks"]) & set(base["services"]["database"]["networks"])


def test_prometheus_scrapes_the_container_only_where_it_runs(written: Path, prepared: Path) -> None:
    prometheus = yaml.safe_load((prepared / "config" / "prometheus.yml").read_text(encoding="utf-8"))
    (file,) = prometheus["scrape_configs"][0]["file_sd_configs"][0]["files"]
    (mounted,) = _document("compose.gateway.yaml")["services"]["prometheus"]["volumes"]
    targets = yaml.safe_load((written / "config" / "gateway.targets.yml").read_text(encoding="utf-8"))

    assert mounted["target"] == file
    assert mounted["source"] == "./config/gateway.targets.yml"
    assert targets == [{"targets": ["gateway:9100"], "labels": {"service": "gateway"}}]


def test_pod_starts_with_the_written_files(places: dict[str, Path]) -> None:
    (container,) = _pod()["containers"]
    environment = {one["name"]: one.get("value", "kg") for one in container["env"]}

    _starts(environment, places)
    assert container["args"] == ["runtime", "services.gateway"]
    assert "envFrom" not in container  # the services' settings name a database


def test_pod_is_hardened_and_alone() -> None:
    resources = list(yaml.safe_load_all((COMPONENT / "gateway.yaml").read_text(encoding="utf-8")))
    for one in resources:
        faults = Draft202012Validator(schema_of(one["apiVersion"], one["kind"])).iter_errors(one)
        assert [fault.message for fault in faults] == []
    deployment, pod = resources[0], _pod()
    (container,) = pod["containers"]

    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]) == (1, "Recreate")
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # The policies of the hub's broker and database admit pods with this label only.
    assert deployment["spec"]["template"]["metadata"]["labels"]["kopuro"] != "service"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_the_hub_with_the_component(written: Path, prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "kubernetes", tmp_path, dirs_exist_ok=True)
    shutil.copytree(prepared, tmp_path / "hub", dirs_exist_ok=True)
    shutil.copytree(written, tmp_path / "gateway", dirs_exist_ok=True)
    with (tmp_path / "hub" / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write("components: [../gateway]\n")
    built = subprocess.run(
        ["kubectl", "kustomize", tmp_path / "hub"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    resources = list(yaml.load_all(built.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    named = {(one["kind"], one["metadata"]["name"]): one for one in resources}

    assert set(named["Secret", "gateway-secrets"]["data"]) == SECRETS
    assert set(named["ConfigMap", "gateway-public"]["data"]) == {"partners-ca.pem"}
    image = named["Deployment", "gateway"]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image != "kopuro"
