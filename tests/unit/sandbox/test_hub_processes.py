"""The settings that the services of an embedded hub get from the environment of `kopuro up`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from runtime.secret_files import SECRETS, SUFFIX
from runtime.tls import BROKER, DATABASE, variables
from runtime.variable_names import VARIABLES
from sandbox import network
from sandbox.hub_files import SERVICES, HubFiles
from sandbox.hub_processes import HubProcesses

# `kopuro up` has an option or a file of its own for these, or does without.
_NOT_PASSED_ON = {
    "KOPURO_POLICY",
    "KOPURO_BROKER_MANAGEMENT_URI",
    "KOPURO_GATEWAY_KEY",
    *(secret + SUFFIX for secret in SECRETS),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> HubFiles:
    made = HubFiles(tmp_path_factory.mktemp("hub"))
    made.settle(network.load().organizations[:2])
    return made


def environments(files: HubFiles, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the lines of each service's environment file, by variable."""
    processes = HubProcesses(files, environment, policy=None, approvals="one-person")
    for service in SERVICES:
        processes.service(service, "amqp://broker", None)
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
