"""The settings that the services of an embedded hub get from the environment of `kopuro up`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from admin.embedded_broker import BrokerIdentity
from runtime.secret_files import SECRETS, SUFFIX
from runtime.tls import BROKER, DATABASE, variables
from runtime.variable_names import VARIABLES
from sandbox import network
from sandbox.hub_files import GATEWAY, SERVICES, HubFiles
from sandbox.hub_processes import HubProcesses

# `kopuro up` has an option or a file of its own for these, or does without.
_NOT_PASSED_ON = {
    "KOPURO_POLICY",
    *(secret + SUFFIX for secret in SECRETS),
}

BROKER_IDENTITY = BrokerIdentity(
    node="kopuro@localhost",
    amqp_port=20001,
    distribution_port=20002,
    user="kopuro-user",
    password="password",
    cookie="COOKIE",
    passwords={GATEWAY: "password"},
    management_port=20003,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> HubFiles:
    made = HubFiles(tmp_path_factory.mktemp("hub"))
    made.settle(network.load().organizations[:2])
    return made


def environments(files: HubFiles, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the lines of the environment files of each service and of the gateway, by variable."""
    processes = HubProcesses(files, environment, policy=None, approvals="one-person")
    for service in SERVICES:
        processes.service(service, "amqp://broker", None)
    processes.gateway(BROKER_IDENTITY)
    for service in (*SERVICES, GATEWAY):
        lines = Path(files.environments / f"{service}.env").read_text(encoding="utf-8").splitlines()
        yield {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}


def test_every_variable_of_a_service_is_made_or_passed_on(files: HubFiles) -> None:
    given = dict.fromkeys(VARIABLES, "7")
    reached = set().union(*environments(files, given))
    of_tls = {*variables(BROKER).values(), *variables(DATABASE).values()}
    assert VARIABLES - reached - of_tls == _NOT_PASSED_ON


@pytest.mark.parametrize(
    "name", ["KOPURO_LOG_COVER_PER_MINUTE", "KOPURO_RETENTION_DAYS", "KOPURO_FACTS_DAYS"]
)
def test_setting_of_the_environment_reaches_the_services(files: HubFiles, name: str) -> None:
    assert {one.get(name) for one in environments(files, {name: "60"})} == {"60"}
    assert {one.get(name) for one in environments(files, {})} == {None}
