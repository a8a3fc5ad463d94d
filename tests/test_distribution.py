"""Slow groups start first, and tests that share a hub run on one worker."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.distribution import LONG, SHARED_NODES, SHARED_THREATS, Distribution, together, turn


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/journey/test_ends.py::test_a[sqlite]", "tests/journey on sqlite"),
        ("tests/journey/test_views.py::test_b[sqlite-second-candidate]", "tests/journey on sqlite"),
        (
            "tests/journey/test_bad_input.py::test_c[an unknown field-postgresql]",
            "tests/journey on postgresql",
        ),
        ("tests/journey/test_demo.py::test_d[pipe]", "tests/journey/test_demo.py"),
        ("tests/threats/test_starvation.py::test_f", "tests/threats on one hub"),
        ("tests/threats/test_hostile_operator.py::test_g", "tests/threats/test_hostile_operator.py"),
        ("tests/faults/test_stopping.py::test_i[memory]", "tests/faults on one node"),
        ("tests/faults/test_links.py::test_j", "tests/faults/test_links.py"),
        ("tests/messaging/test_rabbitmq.py::test_k", "tests/messaging on one node"),
        ("tests/openapi/test_published_api.py::test_h[audit_story]", "tests/openapi"),
        ("tests/storage/test_migrate.py::test_e[sqlite]", "tests/storage/test_migrate.py"),
    ],
)
def test_tests_of_one_file_or_one_hub_stay_on_one_worker(nodeid: str, group: str) -> None:
    assert together(nodeid) == group


def test_slow_groups_are_distributed_first() -> None:
    quick, waiting, hub = (
        "tests/unit/docs/test_x.py::t",
        "tests/storage/test_x.py::t",
        "tests/journey/test_x.py::t",
    )
    long = f"{LONG[-1]}::t"
    assert sorted([quick, long, waiting, hub], key=turn) == [hub, waiting, long, quick]


@pytest.mark.parametrize("file", LONG)
def test_every_long_file_exists(file: str) -> None:
    assert (Path(__file__).parents[1] / file).is_file()


def test_every_attack_on_the_shared_hub_is_in_its_group() -> None:
    """A file left out would start another hub on another worker."""
    files = sorted((Path(__file__).parent / "threats").glob("test_*.py"))
    sources = {f"tests/threats/{file.name}": file.read_text(encoding="utf-8") for file in files}
    uses_hub = {name for name, source in sources.items() if re.search(r"\bhub: \w+", source)}
    starts_hub = {name for name, source in sources.items() if re.search(r"^def hub\((?!hub:)", source, re.M)}
    assert uses_hub - starts_hub == SHARED_THREATS


@pytest.mark.parametrize("folder", ["faults", "messaging"])
def test_every_user_of_a_folders_own_broker_is_in_its_group(folder: str) -> None:
    """A file left out would start another node on another worker."""
    files = sorted((Path(__file__).parent / folder).glob("test_*.py"))
    users = {
        f"tests/{folder}/{file.name}"
        for file in files
        if re.search(r"\bown_broker: \w+", file.read_text(encoding="utf-8"))
    }
    assert len(users) > 1
    assert users == {name for name in SHARED_NODES if name.startswith(f"tests/{folder}/")}


class Worker:
    """Records the places of the tests that it gets."""

    shutting_down = False

    def __init__(self) -> None:
        self.places: list[list[int]] = []

    def send_runtest_some(self, places: list[int]) -> None:
        self.places.append(places)


def test_worker_gets_the_places_of_its_next_group_and_finished_groups_are_forgotten() -> None:
    tests = [f"tests/unit/test_{name}.py::test_{number}" for name in "abc" for number in range(3)]
    worker: Any = Worker()
    options = {"tx": ["popen"], "maxworkerrestart": None}
    config: Any = SimpleNamespace(option=SimpleNamespace(loadscopereorder=False), getvalue=options.get)
    distribution = Distribution(config)
    distribution.add_node(worker)
    distribution.add_node_collection(worker, tests)
    distribution.schedule()
    for place in range(4):
        distribution.mark_test_complete(worker, place)
    assert worker.places == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert list(distribution.assigned_work[worker]) == ["tests/unit/test_b.py", "tests/unit/test_c.py"]
