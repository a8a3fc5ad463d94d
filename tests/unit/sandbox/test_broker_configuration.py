"""The configuration of the private broker."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from admin.embedded_broker import BrokerFiles, BrokerIdentity
from runtime.messaging.outbox.event_batch import MOST_BYTES
from sandbox.broker_configuration import LARGEST_MESSAGE, MARKER, WORKING_DIRECTORY, contents, environment
from services.intake.ndjson import LONGEST_LINE

FILES = BrokerFiles(root=Path("/data/broker"))
IDENTITY = BrokerIdentity(
    node="kopuro-00ff00ff@localhost",
    amqp_port=20001,
    distribution_port=20002,
    user="kopuro-user",
    password="p@ss/word%",
    cookie="COOKIE",
)


def configured() -> dict[str, str]:
    lines = contents(FILES, IDENTITY)[FILES.configuration].splitlines()
    pairs = (line.partition(" = ") for line in lines if line and not line.startswith("#"))
    return {key: value for key, _, value in pairs}


def test_only_listener_is_on_loopback() -> None:
    listeners = {key: value for key, value in configured().items() if key.startswith("listeners.")}
    assert listeners == {"listeners.tcp.1": "127.0.0.1:20001"}


@pytest.mark.parametrize("file", ["rabbitmq/rabbitmq.conf", "kubernetes/base/broker.yaml"])
def test_messages_are_bounded_as_at_a_deployed_broker(file: str) -> None:
    line = f"max_message_size = {configured()['max_message_size']}"
    deployed = (Path("deploy") / file).read_text().splitlines()
    assert line in map(str.strip, deployed)


def test_bound_of_messages_is_above_what_intake_admits() -> None:
    # One submission in its envelope; events that are smaller travel together, up to event_batch.MOST_BYTES.
    assert LARGEST_MESSAGE > LONGEST_LINE + MOST_BYTES


def test_erlang_distribution_is_on_loopback_without_epmd() -> None:
    arguments = environment(FILES, IDENTITY, path="/bin", schedulers=2)["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    assert "-start_epmd false" in arguments
    assert "-erl_epmd_port 20002" in arguments
    assert "inet_dist_use_interface {127,0,0,1}" in arguments


def test_erlang_schedulers_without_work_sleep_at_once() -> None:
    arguments = environment(FILES, IDENTITY, path="/bin", schedulers=2)["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    assert "+sbwt none +sbwtdcpu none +sbwtdio none" in arguments


def test_configuration_has_no_guest_user() -> None:
    settings = configured()
    assert settings["default_user"] == "kopuro-user"
    assert settings["default_pass"] == "p@ss/word%"
    assert settings["default_vhost"] == "kopuro"


def test_node_uses_no_path_outside_its_directory() -> None:
    settings = environment(FILES, IDENTITY, path="/bin", schedulers=2)
    paths = {key: value for key, value in settings.items() if value.startswith("/") and key != "PATH"}
    assert {"HOME", "RABBITMQ_MNESIA_BASE", "RABBITMQ_LOG_BASE", "RABBITMQ_CONF_ENV_FILE"} <= set(paths)
    assert all(Path(value).is_relative_to(FILES.root) for value in paths.values())
    assert all(path.is_relative_to(FILES.root) for path in contents(FILES, IDENTITY))


def test_node_sees_a_directory_beyond_latin_1_under_another_name() -> None:
    """RabbitMQ 3.10.8 loses its queues at the second start there (`tests/journey/test_up.py`)."""
    files = BrokerFiles(root=Path("/data/Ош/broker"))
    settings = environment(files, IDENTITY, path="/bin", schedulers=2, plugins=files.root / "plugins")
    assert {key for key, value in settings.items() if not value.isascii()} == {MARKER}
    assert settings["RABBITMQ_PLUGINS_DIR"] == f"{WORKING_DIRECTORY}/plugins"


def test_only_named_libraries_are_left_out_of_the_search_for_boot_steps() -> None:
    assert "application:load" not in contents(FILES, IDENTITY)[FILES.at_start]
    named = contents(FILES, IDENTITY, libraries=("xmerl", "jsx"))[FILES.at_start]
    assert "application:load" in named
    assert "[xmerl, jsx]" in named


def test_uri_quotes_any_password() -> None:
    parts = urlsplit(IDENTITY.uri("partners"))
    assert (parts.hostname, parts.port, parts.path) == ("127.0.0.1", 20001, "/partners")
    assert unquote(parts.password or "") == "p@ss/word%"


def test_identity_survives_serialisation() -> None:
    assert BrokerIdentity.from_json(IDENTITY.to_json()) == IDENTITY


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"node": "x", "unknown": 1}'])
def test_damaged_identity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        BrokerIdentity.from_json(text)


def test_invented_identities_differ_in_every_secret() -> None:
    one, two = (BrokerIdentity.invented(amqp_port=1, distribution_port=2) for _ in range(2))
    assert one.node != two.node
    assert one.password != two.password
    assert one.cookie != two.cookie


def test_repr_of_identity_has_no_secrets() -> None:
    assert "p@ss/word%" not in repr(IDENTITY)
    assert "COOKIE" not in repr(IDENTITY)
