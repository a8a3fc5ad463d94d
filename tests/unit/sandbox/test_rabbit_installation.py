"""The files of RabbitMQ and Erlang on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.rabbit_installation import RabbitInstallation, erl_call


def installed(root: Path, rabbit: str) -> tuple[Path, Path]:
    """Return the start script and the directory of `erl` of an installation like Debian's."""
    plugins, erlang = root / "rabbitmq" / "plugins", root / "erlang"
    for application in (rabbit, "ra-2.2.0", "rabbit_common-3.10.8", "rabbitmq_management-3.10.8"):
        (plugins / application / "ebin").mkdir(parents=True)
    for application in ("stdlib-4.2", "kernel-8.5.3"):
        (erlang / "lib" / application / "ebin").mkdir(parents=True)
    (root / "rabbitmq" / "sbin").mkdir()
    server = root / "rabbitmq" / "sbin" / "rabbitmq-server"
    server.touch()
    erl = erlang / "bin" / "erl"
    erl.parent.mkdir()
    erl.touch(mode=0o755)
    return server, erl.parent


def test_directories_with_most_modules_come_first_and_plugins_are_left_out(tmp_path: Path) -> None:
    server, path = installed(tmp_path, "rabbit-3.10.8")
    link = tmp_path / "rabbitmq-server"
    link.symlink_to(server)

    found = RabbitInstallation.found(link, path=str(path))

    assert found is not None
    assert found.plugins == ()
    assert found.rabbit.name == "rabbit-3.10.8"
    assert [directory.parent.name for directory in found.modules] == [
        *("rabbit-3.10.8", "kernel-8.5.3", "stdlib-4.2", "rabbit_common-3.10.8", "ra-2.2.0")
    ]


def test_node_with_management_api_gets_the_plugins_that_it_needs(tmp_path: Path) -> None:
    server, path = installed(tmp_path, "rabbit-3.10.8")
    assert RabbitInstallation.found(server, path=str(path), management=True) is None

    for application in ("cowboy-2.8.0", "amqp_client-3.10.8", "cowlib-2.9.1"):
        (server.parents[1] / "plugins" / application / "ebin").mkdir(parents=True)
    for plugin in ("rabbitmq_management_agent-3.10.8", "rabbitmq_web_dispatch-3.10.8"):
        (server.parents[1] / "plugins" / plugin / "ebin").mkdir(parents=True)
    found = RabbitInstallation.found(server, path=str(path), management=True)

    assert found is not None
    names = [directory.name for directory in found.plugins]
    assert names == [
        *("rabbitmq_management-3.10.8", "cowboy-2.8.0", "amqp_client-3.10.8", "cowlib-2.9.1"),
        *("rabbitmq_management_agent-3.10.8", "rabbitmq_web_dispatch-3.10.8"),
    ]
    assert [directory.parent.name for directory in found.modules][-6:] == names


@pytest.mark.parametrize(
    ("rabbit", "directory"),
    [("rabbit-4.0.5", "usr"), ("rabbitmq_shovel-3.10.8", "usr"), ("rabbit-3.10.8", "u r")],
)
def test_other_installation_starts_as_its_script_does(tmp_path: Path, rabbit: str, directory: str) -> None:
    server, path = installed(tmp_path / directory, rabbit)
    assert RabbitInstallation.found(server, path=str(path)) is None


def test_installation_without_erlang_starts_as_its_script_does(tmp_path: Path) -> None:
    server, _ = installed(tmp_path, "rabbit-3.10.8")
    assert RabbitInstallation.found(server, path=str(tmp_path)) is None


@pytest.mark.parametrize("place", ["bin", "lib/erl_interface-5.3/bin"])
def test_erl_call_is_found_in_the_directory_of_erlang(tmp_path: Path, place: str) -> None:
    _, path = installed(tmp_path, "rabbit-3.10.8")
    link = tmp_path / "bin" / "erl"
    link.parent.mkdir()
    link.symlink_to(path / "erl")
    assert erl_call(str(link.parent)) is None
    program = path.parent / place / "erl_call"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.touch(mode=0o755)
    assert erl_call(str(link.parent)) == str(program)


def test_erl_call_on_path_is_used_first(tmp_path: Path) -> None:
    _, path = installed(tmp_path, "rabbit-3.10.8")
    (path / "erl_call").touch(mode=0o755)
    own = tmp_path / "own"
    own.mkdir()
    (own / "erl_call").touch(mode=0o755)
    assert erl_call(f"{own}:{path}") == str(own / "erl_call")
    assert erl_call(str(tmp_path)) is None
