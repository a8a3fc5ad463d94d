"""Tests that share their folder's hub run after the others of the folder."""

from __future__ import annotations

from tests.support.shared_hubs import shared_last


def test_tests_of_shared_hub_come_after_the_others_of_their_folder() -> None:
    names = [
        "tests/journey/test_ends.py::test_a[sqlite]",
        "tests/unit/test_x.py::test_b[sqlite]",
        "tests/journey/test_views.py::test_c[postgresql]",
        "tests/journey/test_demo.py::test_d[pipe]",
        "tests/journey/test_up.py::test_e",
    ]
    assert [names[at] for at in shared_last(names, "tests/journey")] == [
        "tests/journey/test_demo.py::test_d[pipe]",
        "tests/unit/test_x.py::test_b[sqlite]",
        "tests/journey/test_up.py::test_e",
        "tests/journey/test_ends.py::test_a[sqlite]",
        "tests/journey/test_views.py::test_c[postgresql]",
    ]


def test_files_of_the_shared_attacked_hub_come_last() -> None:
    names = ["tests/threats/test_starvation.py::test_a", "tests/threats/test_hostile_operator.py::test_b"]
    assert shared_last(names, "tests/threats") == [1, 0]
