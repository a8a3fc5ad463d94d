"""The nginx example: every resource reaches its service, with its largest body and its longest wait."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from admin.embedded_broker import LOOPBACK
from contracts.errors import Unavailable
from runtime.entrypoints.resource import Resource
from runtime.web.deadlines import KEEPALIVE_SECONDS
from sandbox.ports import free_ports
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


# Files that start nginx, and how many connections each worker of it holds.
STARTS = ("README.md", "compose/compose.yaml", "kubernetes/base/proxy.yaml")


@pytest.mark.parametrize("start", STARTS)
def test_each_deployment_holds_many_connections_beside_those_that_an_address_may_use(start: str) -> None:
    text = (DEPLOY / start).read_text(encoding="utf-8")
    ((connections, files),) = zip(
        re.findall(r"worker_connections (\d+);", text),
        re.findall(r"worker_rlimit_nofile (\d+);", text),
        strict=True,
    )
    (of_address,) = re.findall(r"^    limit_conn kopuro_clients (\d+);", TEXT, re.MULTILINE)

    # A request in progress takes two, the second one at the service.
    assert int(connections) >= 16 * 2 * int(of_address)
    assert int(files) >= 2 * int(connections)


# The configuration in the image nginx-unprivileged: its Dockerfile makes it from that of nginx's image.
IMAGES_CONFIGURATION = """
worker_processes  auto;

pid        /tmp/nginx.pid;

events {
    worker_connections  1024;
}

http {
    include       /etc/nginx/mime.types;
    include /etc/nginx/conf.d/*.conf;
}
"""


def _container_command(start: str) -> list[str]:
    for document in yaml.safe_load_all((DEPLOY / start).read_text(encoding="utf-8")):
        if "services" in document:
            return list(document["services"]["proxy"]["command"])
        if document["kind"] == "Deployment":
            return list(document["spec"]["template"]["spec"]["containers"][0]["command"])
    raise AssertionError(start)


@pytest.mark.parametrize("start", STARTS[1:])
def test_container_starts_nginx_with_the_images_configuration_for_many_connections(
    start: str, tmp_path: Path
) -> None:
    shell, option, script = _container_command(start)
    change, _, begin = script.partition(" && exec ")
    (tmp_path / "image.conf").write_text(IMAGES_CONFIGURATION, encoding="utf-8")
    change = change.replace("/etc/nginx/nginx.conf", f"{tmp_path}/image.conf")
    changed = tmp_path / "nginx.conf"
    program, _, written, *options = shlex.split(begin)
    subprocess.run([shell, option, change.replace(written, str(changed))], check=True)
    assert [program, *options] == ["nginx", "-g", "daemon off; worker_rlimit_nofile 16384;"]
    # All the rest is the image's: its process ids, types and the hub's configuration.
    expected = IMAGES_CONFIGURATION.replace("processes  auto", "processes 2")
    assert changed.read_text(encoding="utf-8") == expected.replace("connections  1024", "connections 8192")


def test_head_that_comes_slowly_ends_soon() -> None:
    assert re.findall(r"^    client_header_timeout (\d+)s;", TEXT, re.MULTILINE) == ["10"]


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_slow_heads_of_one_address_lock_nobody_out(tmp_path: Path) -> None:
    """As many as fill two workers of Debian's configuration."""
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (connections,) = re.findall(r"worker_connections (\d+);", readme)
    port = free_ports(1)[0]
    text = re.sub(r"listen 443 ssl;\n.*", f"listen {LOOPBACK}:{port} ssl;", configuration(tmp_path))
    (tmp_path / "kopuro.conf").write_text(text, encoding="utf-8")
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/files-{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(
        f"{user} worker_processes 2; worker_rlimit_nofile 16384; daemon off; pid {tmp_path}/pid;\n"
        f"error_log stderr;\nevents {{ worker_connections {connections}; }}\n"
        f"http {{ {paths} include {tmp_path}/kopuro.conf; }}\n",
        encoding="utf-8",
    )
    with (
        enough_files(4_096),
        subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf")]) as nginx,
        ExitStack() as held,
    ):
        try:
            for _ in range(1_600):
                held.enter_context(slow_head(port))
            with slow_head(port) as another:
                another.sendall(b"x\r\nConnection: close\r\n\r\n")
                assert another.recv(100).startswith(b"HTTP/1.1 503 ")  # the directory is not there
        finally:
            nginx.terminate()


@contextmanager
def enough_files(number: int) -> Iterator[None]:
    """Let this process have so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def slow_head(port: int) -> ssl.SSLSocket:
    """Connect, and send a head without its end."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + 20
    while True:
        try:
            plain = socket.create_connection((LOOPBACK, port), timeout=20)
            break
        except ConnectionRefusedError:  # nginx has not started yet
            assert time.monotonic() < deadline
            time.sleep(0.05)
    client = context.wrap_socket(plain, server_hostname="hub.example")
    client.sendall(b"GET / HTTP/1.1\r\nHost: hub.example\r\nX-Slow: ")
    return client


def test_bodies_and_responses_are_in_no_temporary_file() -> None:
    """Cases have no transit seal in the proxy, and one address could fill the disk that all share."""
    assert re.findall(
        r"^    (proxy_request_buffering|proxy_max_temp_file_size) (\S+);$", TEXT, re.MULTILINE
    ) == [
        ("proxy_request_buffering", "off"),
        ("proxy_max_temp_file_size", "0"),
    ]
    # Nothing else turns them on again, or keeps copies.
    assert re.findall(r"\b(?:proxy_store|proxy_cache|client_body_in_file_only)\b", TEXT) == []


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_unfinished_body_reaches_the_service_and_no_file(tmp_path: Path) -> None:
    """A body that is larger than every buffer, of which the end is missing."""
    sent = 600_000
    with socket.create_server((LOOPBACK, 0)) as service:
        service.settimeout(20)
        port = free_ports(1)[0]
        text = configuration(tmp_path)
        text = re.sub(r"listen 443 ssl;\n.*", f"listen {LOOPBACK}:{port} ssl;", text)
        text = re.sub(r"(kopuro_intake *{ server) [^;]*", rf"\1 {LOOPBACK}:{service.getsockname()[1]}", text)
        paths = "".join(
            f"{kind}_temp_path {tmp_path}/files-{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "kopuro.conf").write_text(text, encoding="utf-8")
        user = "user root;" if os.geteuid() == 0 else ""
        (tmp_path / "nginx.conf").write_text(
            f"{user} daemon off; master_process off; pid {tmp_path}/pid;\n"
            f"error_log stderr;\nevents {{}}\nhttp {{ {paths} include {tmp_path}/kopuro.conf; }}\n",
            encoding="utf-8",
        )
        with subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf")]) as nginx:
            try:
                with unfinished_body(port, sent), service.accept()[0] as received:
                    service_got = 0
                    received.settimeout(30)
                    while service_got < sent:
                        service_got += len(received.recv(65536))
                open_files = [os.readlink(one) for one in Path(f"/proc/{nginx.pid}/fd").iterdir()]
            finally:
                nginx.terminate()
    assert [name for name in open_files if "files-" in name] == []
    assert [path for path in tmp_path.rglob("*") if path.parent.name.startswith("files-")] == []


@contextmanager
def unfinished_body(port: int, size: int) -> Iterator[None]:
    """Send a part of a body and keep the connection open."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    head = b"POST /v1/referrals HTTP/1.1\r\nHost: hub.example\r\nContent-Length: 1000000\r\n\r\n"
    while True:
        try:
            plain = socket.create_connection((LOOPBACK, port))
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    with context.wrap_socket(plain, server_hostname="hub.example") as client:
        client.sendall(head + b"x" * size)
        yield


def configuration(directory: Path) -> str:
    """Return the configuration with a certificate and logs in the directory."""
    certificate = PrivateCa(directory).issue("hub.example")
    text = TEXT.replace("/etc/kopuro/tls/hub.pem", str(certificate.certificate))
    text = text.replace("/etc/kopuro/tls/hub.key", str(certificate.key))
    return text.replace("/var/log/nginx", str(directory))


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "kopuro.conf").write_text(configuration(tmp_path), encoding="utf-8")
    whole = (
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ include {tmp_path}/kopuro.conf; }}\n"
    )
    (tmp_path / "nginx.conf").write_text(whole, encoding="utf-8")

    done = subprocess.run(
        ["nginx", "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr
