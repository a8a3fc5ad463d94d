"""The locks of an installation are parts of the development lock, and cover what the wheels require."""

from __future__ import annotations

import re
import tomllib

from tests.deploy.settings_names import DEPLOY, ROOT

_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; .*?)? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE)


def _pins(path: str) -> dict[str, tuple[str, str]]:
    """The locked packages of a file: name -> version and hashes."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return {name: (version, hashes) for name, version, hashes in _PIN.findall(text)}


def _required(names: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", name) for name in names)
    return {match[0].lower() for match in found if match is not None}


def test_locks_of_an_installation_agree_with_the_development_lock() -> None:
    everything = _pins("requirements.lock")
    for lock in ("deploy/requirements-server.lock", "deploy/requirements-build.lock"):
        pins = _pins(lock)
        assert len(pins) >= 5
        assert {name for name, pin in pins.items() if everything.get(name) != pin} == set()


def test_server_lock_has_what_both_wheels_require() -> None:
    pins = _pins("deploy/requirements-server.lock")
    for project in (ROOT, ROOT / "client"):
        metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert _required(metadata["dependencies"]) - set(pins) <= {"kopuro-client"}


def test_both_wheels_have_one_version() -> None:
    server, client = (
        tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for folder in (ROOT, ROOT / "client")
    )

    assert f"kopuro-client=={client['version']}" in server["dependencies"]
    assert client["version"] == server["version"]
    container = (DEPLOY / "container" / "Containerfile").read_text(encoding="utf-8")
    assert f'image.version="{server["version"]}"' in container
    compose = (DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8")
    assert f"kopuro:{server['version']}" in compose
