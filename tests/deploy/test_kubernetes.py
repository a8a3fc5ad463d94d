"""The Kubernetes manifests: Kubernetes' own schemas accept them, and every name in them leads somewhere."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from runtime.shutdown import BOUND_SECONDS
from runtime.web.client_address import client_address
from tests.deploy.kubernetes_schema import RESOURCES, schema_of
from tests.deploy.settings_names import DEPLOY, SERVICES, missing

FOLDER = DEPLOY / "kubernetes"
OPERATORS = {
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"),
    ("postgresql.cnpg.io/v1", "Cluster"),
    ("postgresql.cnpg.io/v1", "Database"),
}
# One process each, because of a file of theirs.
ALONE = {"vault", "audit"}
MOUNTED = "/run/secrets/kopuro/"


@cache
def _kustomization(folder: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(
        (FOLDER / folder / "kustomization.yaml").read_text(encoding="utf-8")
    )
    return loaded


@cache
def _resources(folder: str) -> tuple[dict[str, Any], ...]:
    files = [FOLDER / folder / name for name in _kustomization(folder)["resources"]]
    return tuple(one for file in files for one in yaml.safe_load_all(file.read_text(encoding="utf-8")))


def _named(kind: str, name: str, folder: str = "base") -> dict[str, Any]:
    (found,) = [one for one in _resources(folder) if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def _workload(service: str) -> dict[str, Any]:
    return _named("StatefulSet" if service in ALONE else "Deployment", service)


def _pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for one in (*_resources("base"), *_resources("migrations")):
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def _generated(kind: str) -> dict[str, list[str]]:
    """The config maps or secrets that the hub's overlay makes: name -> keys."""
    return {
        one["name"]: [
            *(file.partition("=")[0].rpartition("/")[2] for file in one.get("files", ())),
            *(literal.partition("=")[0] for literal in one.get("literals", ())),
        ]
        for one in _kustomization("hub")[f"{kind}Generator"]
    }


@pytest.mark.parametrize("folder", ["base", "migrations"])
def test_every_manifest_is_listed(folder: str) -> None:
    files = {file.name for file in (FOLDER / folder).glob("*.yaml")} - {"kustomization.yaml"}

    assert files == set(_kustomization(folder)["resources"])


@pytest.mark.parametrize("folder", ["base", "migrations"])
def test_manifests_follow_schemas_of_kubernetes(folder: str) -> None:
    for one in _resources(folder):
        of = one["apiVersion"], one["kind"]
        if of in OPERATORS:
            continue
        assert of in RESOURCES, of
        faults = Draft202012Validator(schema_of(*of)).iter_errors(one)
        assert [f"{one['metadata']['name']}{fault.json_path[1:]}: {fault.message}" for fault in faults] == []


def test_schemas_refuse_unknown_fields() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"prots": []}}
    faults = list(Draft202012Validator(schema_of("v1", "Service")).iter_errors(service))

    assert "prots" in str(faults)


@pytest.mark.parametrize("service", SERVICES)
def test_pod_has_its_service_with_its_settings_and_secrets(service: str) -> None:
    (container,) = _workload(service)["spec"]["template"]["spec"]["containers"]
    common = _named("ConfigMap", "settings")["data"]
    own = {variable["name"]: variable["value"] for variable in container.get("env", ())}
    used = {value.removeprefix(MOUNTED) for value in (common | own).values() if value.startswith(MOUNTED)}

    assert container["args"] == ["runtime", f"services.{service}"]
    assert missing(service, frozenset(common | own)) == set()
    assert used == set(_generated("secret")[f"{service}-secrets"])


@pytest.mark.parametrize("service", SERVICES)
def test_migration_is_a_job_that_sees_the_database_address_only(service: str) -> None:
    job = _named("Job", f"migrate-{service}", "migrations")
    pod = job["spec"]["template"]["spec"]
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]

    assert pod["containers"][0]["args"] == ["runtime.storage.migrate", f"services.{service}"]
    assert secret["secretName"] == f"{service}-secrets"
    assert [item["key"] for item in secret["items"]] == ["database-url"]
    assert (job["spec"]["backoffLimit"], pod["restartPolicy"]) == (0, "Never")


def test_pods_have_no_rights() -> None:
    for name, pod in _pods():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name


@pytest.mark.parametrize("service", SERVICES)
def test_services_are_probed_and_get_time_to_stop(service: str) -> None:
    pod = _workload(service)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    before = float(container["lifecycle"]["preStop"]["exec"]["command"][1])

    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "operations"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "operations"}
    assert "startupProbe" in container
    assert pod["terminationGracePeriodSeconds"] > before + BOUND_SECONDS


@pytest.mark.parametrize("name", [*SERVICES, "proxy"])
def test_replicated_pods_have_a_budget_and_the_others_are_never_two(name: str) -> None:
    if name in ALONE:
        assert _workload(name)["spec"]["replicas"] == 1
    else:
        budget = _named("PodDisruptionBudget", name)["spec"]
        assert budget["selector"] == _workload(name)["spec"]["selector"]
        assert budget["minAvailable"] < _workload(name)["spec"]["replicas"]


def test_every_secret_and_config_map_in_use_is_made() -> None:
    made = {*_generated("secret"), *_generated("configMap"), "settings"}
    used = {
        reference
        for _, pod in _pods()
        for volume in pod["volumes"]
        for reference in (
            volume.get("secret", {}).get("secretName"),
            volume.get("configMap", {}).get("name"),
        )
        if reference is not None
    }
    cluster, broker = _named("Cluster", "database-cluster"), _named("RabbitmqCluster", "broker")
    used |= {cluster["spec"]["certificates"][name] for name in ("serverTLSSecret", "serverCASecret")}
    used |= {role["passwordSecret"]["name"] for role in cluster["spec"]["managed"]["roles"]}
    used |= {broker["spec"]["tls"][name] for name in ("secretName", "caSecretName")}
    template = broker["spec"]["override"]["statefulSet"]["spec"]["template"]["spec"]
    used |= {volume["secret"]["secretName"] for volume in template["volumes"]}

    assert used | {"settings"} == made


def test_every_service_has_a_role_and_a_database() -> None:
    cluster = _named("Cluster", "database-cluster")
    roles = {role["name"] for role in cluster["spec"]["managed"]["roles"]}
    databases = {
        one["spec"]["name"]: (one["spec"]["owner"], one["spec"]["cluster"]["name"])
        for one in _resources("base")
        if one["kind"] == "Database"
    }

    assert roles == {f"kopuro_{service}" for service in SERVICES}
    assert databases == {role: (role, "database-cluster") for role in roles}


def test_addresses_of_prepared_settings_are_services_here(prepared: Path) -> None:
    (additional,) = _named("Cluster", "database-cluster")["spec"]["managed"]["services"]["additional"]
    proxy = (prepared / "config" / "nginx-kubernetes.conf").read_text(encoding="utf-8")

    for service in SERVICES:
        uri = (prepared / "secrets" / f"{service}-amqp-uri").read_text(encoding="utf-8")
        url = (prepared / "secrets" / f"{service}-database-url").read_text(encoding="utf-8")
        assert (
            uri.rpartition("@")[2].strip()
            == f"{_named('RabbitmqCluster', 'broker')['metadata']['name']}:5671/kopuro"
        )
        assert url.rpartition("@")[2].startswith(additional["serviceTemplate"]["metadata"]["name"] + "/")
        ports = {port["name"]: port["port"] for port in _named("Service", service)["spec"]["ports"]}
        assert ports["operations"] == 9100
        if service != "vault":
            assert f"server {service}:{ports['http']};" in proxy
    assert "resolve" not in proxy


def test_generated_files_are_written_by_prepare(prepared: Path) -> None:
    kustomization = _kustomization("hub")
    files = [
        file.rpartition("=")[2]
        for one in (*kustomization["configMapGenerator"], *kustomization["secretGenerator"])
        for file in one.get("files", ())
    ]

    assert {file for file in files if not (prepared / file).is_file()} == set()
    password = (prepared / "secrets" / "intake-database-password").read_text(encoding="utf-8")
    assert password == password.strip()  # a secret is taken as it is, with a newline at its end


def test_policies_deny_everything_and_let_services_reach_broker_and_database_only() -> None:
    nothing = _named("NetworkPolicy", "nothing")["spec"]
    services = _named("NetworkPolicy", "services")["spec"]
    labels = _workload("intake")["spec"]["template"]["metadata"]["labels"]
    reached = [
        (rule["to"][0]["podSelector"]["matchLabels"], rule["ports"][0]["port"]) for rule in services["egress"]
    ]

    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert services["podSelector"]["matchLabels"].items() <= labels.items()
    assert reached == [
        ({"app.kubernetes.io/name": "broker"}, 5671),
        ({"cnpg.io/cluster": "database-cluster"}, 5432),
    ]
    public = _named("NetworkPolicy", "services-from-proxy")["spec"]["podSelector"]["matchExpressions"][0][
        "values"
    ]
    assert set(public) == set(SERVICES) - {"vault"}


def test_directory_reads_the_clients_address_from_the_proxys_pods() -> None:
    (container,) = _named("Deployment", "directory")["spec"]["template"]["spec"]["containers"]
    (networks,) = [one["value"] for one in container["env"] if one["name"] == "KOPURO_PROXIES"]
    for address in ("10.244.1.5", "100.96.0.5", "192.168.16.5", "fd00::5"):
        proxies = [ip_network(one) for one in networks.split(",")]
        assert client_address(address, "192.0.2.7", proxies) == "192.0.2.7"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_the_hub(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    shutil.copytree(prepared, tmp_path / "hub", dirs_exist_ok=True)
    built = subprocess.run(
        ["kubectl", "kustomize", tmp_path / "hub"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    resources = list(yaml.load_all(built.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    settings = next(one for one in resources if one["metadata"]["name"] == "settings")

    assert settings["data"]["KOPURO_HUB"] == "kg"
    assert {one["metadata"].get("namespace", "kopuro") for one in resources} == {"kopuro"}
    assert "image: kopuro\n" not in built.stdout
