"""The files of a gateway: complete, private, and kept when they exist."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from admin.environment_files import read_environment
from admin.gateway_files import DEFINITIONS, ENVIRONMENT, KEY, GatewayPlan, write_gateway_files
from contracts.broker_rights import PARTNERS_VHOST
from kopuro_client.errors import InvalidArgumentError
from runtime.settings import Settings
from runtime.tls import TlsFiles
from services.gateway import bootstrap
from tests.support.certificates import PrivateCa


@pytest.fixture
def plan(tmp_path: Path) -> GatewayPlan:
    return GatewayPlan(
        hub="kg",
        broker="amqps://broker.example:5671",
        management="https://broker.example:15671",
        discovery=tmp_path / "discovery.json",
    )


@pytest.mark.usefixtures("any_umask")
def test_gateway_starts_with_the_files(tmp_path: Path, plan: GatewayPlan) -> None:
    directory = tmp_path / "gateway"
    assert [file.name for file in write_gateway_files(directory, plan)] == [KEY, ENVIRONMENT, DEFINITIONS]
    for file in directory.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings = Settings.from_environment(read_environment(directory / ENVIRONMENT), is_client=True)
    application = bootstrap.build(settings)
    assert application.name == "gateway"
    application.close()
    assert settings.amqp_uri.endswith(f"@broker.example:5671/{PARTNERS_VHOST}")


def test_gateway_environment_names_the_private_ca(tmp_path: Path, plan: GatewayPlan) -> None:
    ca = PrivateCa(tmp_path).file
    write_gateway_files(tmp_path / "gateway", replace(plan, broker_ca=ca))
    settings = Settings.from_environment(read_environment(tmp_path / "gateway" / ENVIRONMENT), is_client=True)
    assert settings.broker_tls == TlsFiles(ca=ca)


def test_environment_file_is_beside_those_of_the_services(tmp_path: Path, plan: GatewayPlan) -> None:
    (tmp_path / "env").mkdir()
    written = write_gateway_files(tmp_path / "gateway", plan, env_dir=tmp_path / "env")
    assert tmp_path / "env" / ENVIRONMENT in written
    assert write_gateway_files(tmp_path / "gateway", plan, env_dir=tmp_path / "env") == []


def test_ca_for_a_broker_without_tls_is_refused(tmp_path: Path, plan: GatewayPlan) -> None:
    with pytest.raises(InvalidArgumentError, match="--broker-ca requires an amqps:// address"):
        replace(plan, broker="amqp://broker.example", broker_ca=PrivateCa(tmp_path).file)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"hub": "KG"}, "--hub must be a country code of two lower-case letters"),
        ({"broker": "broker.example"}, "--broker must be an amqp:// or amqps:// address without a user"),
        ({"management": "ftp://x"}, "--management must be an http:// or https:// address without a user"),
    ],
)
def test_address_that_cannot_be_right_is_refused_with_its_form(
    plan: GatewayPlan, wrong: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{sentence}$"):
        replace(plan, **wrong)  # type: ignore[arg-type]


def test_definitions_have_the_hash_of_the_password_and_no_right_elsewhere(
    tmp_path: Path, plan: GatewayPlan
) -> None:
    write_gateway_files(tmp_path / "gateway", plan)
    variables = read_environment(tmp_path / "gateway" / ENVIRONMENT)
    password = urlsplit(variables["KOPURO_AMQP_URI"]).password
    assert password
    assert urlsplit(variables["KOPURO_BROKER_MANAGEMENT_URI"]).password == password
    document = json.loads((tmp_path / "gateway" / DEFINITIONS).read_bytes())
    (user,) = document["users"]
    stored = base64.b64decode(user["password_hash"])
    assert stored[4:] == hashlib.sha256(stored[:4] + password.encode()).digest()
    assert {one["vhost"] for one in document["permissions"]} == {PARTNERS_VHOST}
    assert password not in json.dumps(document)


def test_repeated_run_keeps_every_file(tmp_path: Path, plan: GatewayPlan) -> None:
    directory = tmp_path / "gateway"
    write_gateway_files(directory, plan)
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    assert write_gateway_files(directory, plan) == []
    (directory / DEFINITIONS).unlink()
    write_gateway_files(directory, plan)
    after = {file.name: file.read_bytes() for file in directory.iterdir()}
    assert {**after, DEFINITIONS: b""} == {**before, DEFINITIONS: b""}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hub", "KG"),
        ("broker", "http://broker.example"),
        ("broker", "amqps://kg.gateway:x@broker.example"),
        ("management", "amqps://broker.example"),
    ],
)
def test_address_that_cannot_be_right_is_refused(plan: GatewayPlan, name: str, value: str) -> None:
    parts = {"hub": "kg", "broker": plan.broker, "management": plan.management, "discovery": plan.discovery}
    with pytest.raises(InvalidArgumentError):
        GatewayPlan(**{**parts, name: value})  # type: ignore[arg-type]
