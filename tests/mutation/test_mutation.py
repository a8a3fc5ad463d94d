"""The mutations with quick tests, tried in every run; `make mutation` tries all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.long_run import LONG
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


def rounds(mutations: Sequence[Mutation]) -> list[list[Mutation]]:
    """Return which mutations are tried in one run: those of different services, except in a long run.

    No service imports another one, so the unit tests of each show its own mutation only.
    """
    alone: list[list[Mutation]] = []
    together: list[dict[str, Mutation]] = []
    for mutation in mutations:
        service = mutation.service
        if LONG or service is None:
            alone.append([mutation])
            continue
        free = next((one for one in together if service not in one), None)
        if free is None:
            together.append(free := {})
        free[service] = mutation
    return [*(list(one.values()) for one in together), *alone]


@pytest.mark.parametrize(
    "mutations", rounds(QUICK), ids=lambda mutations: "; ".join(one.name for one in mutations)
)
def test_mutation_fails_its_tests(copy: Copy, mutations: list[Mutation]) -> None:
    for mutation, outcome in copy.attempt_together(mutations):
        assert outcome.proves(mutation), f"{mutation.name}: {outcome.output}"


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
