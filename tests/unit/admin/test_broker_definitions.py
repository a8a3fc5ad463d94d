"""The definitions of a hub's broker, as files."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from pathlib import Path

import pytest

from admin.broker_definitions import definitions, write_definitions
from contracts.broker_rights import USERS, WATCH, rights_of, user_name
from contracts.topology import hub_topology
from kopuro_client.commands import main
from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.errors import InvalidArgumentError

PASSWORDS = {user: f"password of {user}" for user in USERS}


def test_definitions_hold_the_whole_topology() -> None:
    document = definitions(vhost="v", hub="kg", passwords=PASSWORDS)
    topology = hub_topology()
    assert [one["name"] for one in document["exchanges"]] == [one.name for one in topology.exchanges]
    assert [(q["name"], q["arguments"]) for q in document["queues"]] == [
        (queue.name, queue.arguments) for queue in topology.queues
    ]
    assert len(document["bindings"]) == len(topology.bindings)
    assert {one["vhost"] for kind in ("exchanges", "queues", "bindings") for one in document[kind]} == {"v"}


def test_each_user_has_its_rights_and_a_hash_of_its_password() -> None:
    document = definitions(vhost="v", hub="kg", passwords=PASSWORDS)
    users = {one["name"]: one for one in document["users"]}
    rights = {one["user"]: one for one in document["permissions"]}
    assert users.keys() == rights.keys() == {user_name("kg", user) for user in USERS}
    for user in USERS:
        found = users[user_name("kg", user)]
        hashed = base64.b64decode(found["password_hash"])
        assert hashed[4:] == hashlib.sha256(hashed[:4] + PASSWORDS[user].encode()).digest()
        assert found["tags"] == ""
        granted = rights[user_name("kg", user)]
        assert (granted["configure"], granted["write"], granted["read"]) == (
            rights_of(user).configure,
            rights_of(user).write,
            rights_of(user).read,
        )
    assert "password of" not in json.dumps(document)


@pytest.mark.usefixtures("any_umask")
def test_written_files_are_private_and_passwords_stay_when_written_again(tmp_path: Path) -> None:
    directory = tmp_path / "broker"
    files = write_definitions(directory, hub="kg", vhost="kopuro")
    assert files.keys() == {*USERS, WATCH}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in (*files.values(), directory / "definitions.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = {user: path.read_text() for user, path in files.items()}
    assert len(set(before.values())) == len(files)
    (directory / "definitions.json").unlink()
    again = write_definitions(directory, hub="kg", vhost="kopuro")
    assert {user: path.read_text() for user, path in again.items()} == before
    assert (directory / "definitions.json").exists()


def test_command_says_how_to_end_connections_of_a_replaced_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RabbitMQ keeps the connections that were opened with the earlier password."""

    def notes() -> str:
        command = ["admin", "broker", "definitions", str(tmp_path / "broker"), "--hub", "kg"]
        assert main(command) == ExitCode.OK
        return capsys.readouterr().err

    assert "close_all_user_connections" not in notes(), "nobody is connected to a new hub's broker"
    assert "close_all_user_connections" not in notes(), "all passwords stay"
    for user in ("intake", "operations", "watch"):
        (tmp_path / "broker" / f"kg.{user}.password").unlink()
    intake, operations, watch = [
        line for line in notes().splitlines() if "close_all_user_connections" in line
    ]
    assert "rabbitmqctl close_all_user_connections kg.intake " in intake
    assert "set it in KOPURO_AMQP_URI of intake, and restart intake" in intake
    assert "restart" not in operations, "no service uses it"
    assert "KOPURO_BROKER_MANAGEMENT_URI of the services" in watch


def test_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(InvalidArgumentError, match="chmod 700"):
        write_definitions(tmp_path, hub="kg", vhost="kopuro")
    assert list(tmp_path.iterdir()) == []
