"""A hub on which two persons approve, for the tests of the published document."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from runtime.settings import TWO_PERSON
from sandbox.hub import Hub
from tests.journey.running_hub import RunningHub
from tests.openapi.extreme_times import ExtremeTimes
from tests.openapi.scenario import play


@pytest.fixture(scope="package")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExtremeTimes]:
    """The scenario, played once for all tests: the hub and the scenario take 20 s of CPU time."""
    environment = {name: value for name, value in os.environ.items() if name != "KOPURO_AMQP_URI"}
    # A few organisations send thousands of generated requests.
    for name in ("REQUESTS_PER_MINUTE", "SUBMISSIONS_PER_MINUTE", "SUBMISSIONS_BURST"):
        environment[f"KOPURO_{name}"] = "999999"
    running = Hub(tmp_path_factory.mktemp("hub") / "data", approvals=TWO_PERSON, environment=environment)
    try:
        running.start()
        api = ExtremeTimes(RunningHub(running, databases={}))
        play(api)
        yield api
    finally:
        running.stop()
