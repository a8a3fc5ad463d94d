"""The mutations with quick tests, tried in every run; `make mutation` tries all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutation.mutations import MUTATIONS, SIMULATION, Mutation
from tests.mutation.trial import Copy

QUICK = [mutation for mutation in MUTATIONS if not mutation.slow]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    with Copy(tmp_path_factory.mktemp("mutation") / "tree") as copied:
        yield copied


def test_unchanged_copy_passes_its_tests(copy: Copy) -> None:
    """Tests that fail anyway prove nothing. The simulation on the code as it is runs in its own suite."""
    tests = dict.fromkeys(test for mutation in QUICK for test in mutation.tests if test != SIMULATION)
    outcome = copy.run(list(tests))
    assert outcome.passed, outcome.output


@pytest.mark.parametrize("mutation", QUICK, ids=lambda mutation: str(mutation.name))
def test_mutation_fails_its_tests(copy: Copy, mutation: Mutation) -> None:
    outcome = copy.attempt(mutation)
    assert outcome.proves(mutation), outcome.output


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.name))
def test_every_mutation_matches_its_source_line(copy: Copy, mutation: Mutation) -> None:
    with copy.mutated(mutation):
        pass


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.name))
def test_mutation_leaves_test_modules_unchanged(mutation: Mutation) -> None:
    """pytest would take the bytecode of a test module that was written in the second before."""
    assert not [
        edit.path for edit in mutation.edits if Path(edit.path).name.startswith(("test_", "conftest"))
    ]
