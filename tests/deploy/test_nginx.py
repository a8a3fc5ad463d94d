"""The nginx example: every resource reaches its service, with its largest body and its longest wait."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from contracts.errors import Unavailable
from runtime.entrypoints.resource import Resource
from runtime.web.deadlines import KEEPALIVE_SECONDS
from tests.deploy.nginx_locations import locations_in
from tests.deploy.settings_names import DEPLOY, SERVICES
from tests.support.certificates import PrivateCa
from tests.support.resource_paths import path_of

TEXT = (DEPLOY / "nginx" / "kopuro.conf").read_text(encoding="utf-8")
LOCATIONS = locations_in(TEXT)
LONGEST_POLL_SECONDS = 30
# Variables of nginx whose value no caller chooses.
UNCHOSEN = {"bytes_sent", "remote_addr", "request_time", "status", "time_iso8601"}
_BYTES = {"k": 1024, "m": 1024 * 1024}


def _resources(service: str) -> Iterator[Resource]:
    cls = import_module(f"services.{service}.service").SERVICE
    for name in dir(cls):
        for entrypoint in getattr(getattr(cls, name), "nameko_entrypoints", ()):
            if isinstance(entrypoint, Resource):
                yield entrypoint


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "vault"])
def test_every_resource_reaches_its_service(service: str) -> None:
    shared = {resource.route().url for resource in _resources("vault")}  # /.well-known/kopuro: any may answer
    urls = {resource.route().url for resource in _resources(service)} - shared
    paths = {path_of(url) for url in urls}

    assert len(paths) > 2
    assert {path: found for path in paths if (found := LOCATIONS.service_for(path)) != service} == {}


def test_largest_body_of_any_resource_passes() -> None:
    size, unit = re.findall(r"client_max_body_size (\d+)([km]);", TEXT)[0]
    limits = [resource.route().limit for service in SERVICES for resource in _resources(service)]

    assert max(limits) <= int(size) * _BYTES[unit]


def test_long_polls_pass_and_idle_connections_are_closed_by_the_proxy_first() -> None:
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", TEXT)

    assert int(seconds) > LONGEST_POLL_SECONDS
    # nginx closes a kept connection after 60 s; if the service did so first, a request could be lost with it.
    assert KEEPALIVE_SECONDS > 60


def test_stopped_service_gets_the_problem_of_an_unavailable_service() -> None:
    (body,) = re.findall(r"return 503 '(.*)\\n';", TEXT)
    problem = json.loads(body)

    assert {**Unavailable("").problem(), "detail": problem["detail"]} == problem


def _map(source: str, name: str) -> dict[str, str]:
    """Return the entries of `map $source $name`."""
    (block,) = re.findall(rf"^map \${source} \${name} {{(.*?)}}$", TEXT, re.MULTILINE | re.DOTALL)
    return {key.strip('"'): value.strip('"') for key, value in re.findall(r"(\S+)\s+(\S+);", block)}


def _logged_resource(path: str) -> str:
    """Return what the access log has of a path."""
    resources = _map("uri", "kopuro_resource")
    for pattern, value in resources.items():
        if pattern.startswith("~"):
            assert value == "$named"
            if found := re.search(pattern[1:].replace("(?<", "(?P<"), path):
                return found["named"]
    return resources["default"]


def test_access_log_names_the_resource_of_a_path_and_nothing_that_the_caller_chose() -> None:
    marker = "Zhyldyz-Asanova-71"
    paths = {path_of(entry.route().url) for name in SERVICES if name != "vault" for entry in _resources(name)}
    logged = {path: _logged_resource(path) for path in paths}

    assert {path for path, name in logged.items() if not (name != "-" and path.startswith(name))} == set()
    for name in {*logged.values(), "/v1/", "/"}:
        assert _logged_resource(f"{name}{marker}") == "-"
        assert marker not in _logged_resource(f"{name}/{marker}")
        assert marker not in _logged_resource(f"/{marker}{name}/{marker}")


def test_access_log_has_only_methods_that_a_resource_has() -> None:
    methods = {entry.route().method for name in SERVICES for entry in _resources(name)}

    assert _map("request_method", "kopuro_method") == {"default": "-", **{one: one for one in methods}}


def test_logs_repeat_nothing_of_a_request() -> None:
    (form,) = re.findall(r"^log_format kopuro '(.*)';$", TEXT, re.MULTILINE)
    variables = set(re.findall(r"\$(\w+)", form))

    assert variables == {*UNCHOSEN, "kopuro_method", "kopuro_resource"}
    # A message of the levels from `crit` down repeats the request line, Host and Referer.
    assert re.findall(r"^ *(access_log|error_log) (.*);$", TEXT, re.MULTILINE) == [
        ("access_log", "/var/log/nginx/kopuro.log kopuro"),
        ("error_log", "/var/log/nginx/kopuro-error.log alert"),
    ]


def test_temporary_files_of_every_deployment_are_in_memory() -> None:
    drop_in = "nginx.service.d/kopuro.conf"
    settings = (DEPLOY / "nginx" / drop_in).read_text(encoding="utf-8")
    guide = (DEPLOY / "README.md").read_text(encoding="utf-8")
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))

    # Debian's nginx has all of its temporary files there.
    assert re.findall(r"^(\w+)=(.*)$", settings, re.MULTILINE) == [
        ("TemporaryFileSystem", "/var/lib/nginx:size=256m")
    ]
    assert f"install -D -m 644 deploy/nginx/{drop_in} /etc/systemd/system/{drop_in}\n" in guide
    assert guide.index(drop_in) < guide.index("systemctl restart nginx")
    assert "_temp_path" not in TEXT
    # The image of the containers has them below `/tmp`, the only place to which they may write.
    proxy = compose["services"]["proxy"]
    (pod,) = [
        one["spec"]["template"]["spec"]
        for one in yaml.safe_load_all((DEPLOY / "kubernetes" / "base" / "proxy.yaml").read_bytes())
        if one["kind"] == "Deployment"
    ]
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    writable = [mount for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert proxy["read_only"]
    assert {mount.partition(":")[0] for mount in proxy["tmpfs"]} == {mount["mountPath"] for mount in writable}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert [volumes[mount["name"]].get("emptyDir", {}).get("medium") for mount in writable] == ["Memory"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_setting_of_nginx(tmp_path: Path) -> None:
    (tmp_path / "nginx.service").write_text(
        f"[Service]\nExecStart={shutil.which('true')}\n", encoding="utf-8"
    )
    shutil.copytree(DEPLOY / "nginx" / "nginx.service.d", tmp_path / "nginx.service.d")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "nginx.service"],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    certificate = ca.issue("hub.example")
    text = TEXT.replace("/etc/kopuro/tls/hub.pem", str(certificate.certificate))
    text = text.replace("/etc/kopuro/tls/hub.key", str(certificate.key)).replace(
        "/var/log/nginx", str(tmp_path)
    )
    (tmp_path / "kopuro.conf").write_text(text, encoding="utf-8")
    whole = (
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ include {tmp_path}/kopuro.conf; }}\n"
    )
    (tmp_path / "nginx.conf").write_text(whole, encoding="utf-8")

    done = subprocess.run(
        ["nginx", "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr
