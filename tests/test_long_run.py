"""What `make test` leaves to `make test LONG=1`."""

import pytest

from tests import long_run
from tests.long_run import combinations, left_to_long_run, on_other_database, times

ON_EACH = ["tests/services/test_a.py::test_one[sqlite]", "tests/services/test_a.py::test_one[postgresql]"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_run, "LONG", False)


def test_short_run_has_each_value_once() -> None:
    rows = combinations(range(5), "abc", [True, False])
    assert len(rows) == 5
    assert [set(column) for column in zip(*rows, strict=True)] == [set(range(5)), set("abc"), {True, False}]


def test_long_run_has_every_combination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_run, "LONG", True)
    assert combinations("ab", range(2)) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert times(3, 40) == 40


def test_short_run_takes_the_short_number() -> None:
    assert times(3, 40) == 3


def test_one_of_two_databases_remains() -> None:
    assert len(on_other_database(ON_EACH)) == 1


def test_tests_of_one_file_remain_on_one_database() -> None:
    more = [one.replace("test_one", f"test_{name}") for one in ON_EACH for name in "abcdefgh"]
    assert len({"sqlite" in one for one in on_other_database(more)}) == 1


def test_both_databases_remain_among_the_files() -> None:
    files = [one.replace("test_a", f"test_{name}") for one in ON_EACH for name in "abcdefgh"]
    assert len({"sqlite" in one for one in on_other_database(files)}) == 2


@pytest.mark.parametrize(
    "alone",
    [
        ON_EACH[:1],
        ON_EACH[1:],
        ["tests/services/test_a.py::test_one[memory]", ON_EACH[0]],
        [one.replace("services", "storage") for one in ON_EACH],
        [one.replace("services", "unit/services/audit/log/adapters") for one in ON_EACH],
    ],
)
def test_tests_without_a_repetition_and_adapter_suites_remain(alone: list[str]) -> None:
    assert on_other_database(alone) == set()


@pytest.mark.parametrize("name", ["test_two_processes_report_it_once", "test_concurrent_requests_create_one"])
def test_both_databases_remain_where_several_write_at_once(name: str) -> None:
    assert on_other_database([one.replace("test_one", name) for one in ON_EACH]) == set()


def test_marked_and_repeated_tests_are_left_to_the_long_run(request: pytest.FixtureRequest) -> None:
    class Marked(pytest.Item):
        """A test of the same name as this one, with the marker."""

        def runtest(self) -> None: ...

    marked = Marked.from_parent(request.node.parent, name="marked")
    marked.add_marker("long_run")
    items = [request.node, marked]
    assert left_to_long_run(items) == [marked]


def test_long_run_leaves_nothing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_run, "LONG", True)
    request.node.add_marker("long_run")
    assert left_to_long_run([request.node]) == []
