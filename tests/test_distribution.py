"""Slow groups start first, and tests that share a hub run on one worker."""

import pytest

from tests.distribution import together, turn


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
    assert sorted([quick, waiting, hub], key=turn) == [hub, waiting, quick]
