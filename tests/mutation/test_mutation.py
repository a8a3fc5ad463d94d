"""The mutations with quick tests, tried in every run; `make mutation` tries all of them."""

from __future__ import annotations

import pytest

from tests.mutation.mutations import MUTATIONS, Mutation
from tests.mutation.trial import Copy

QUICK = [mutation for mutation in MUTATIONS if not mutation.slow]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    made = Copy(tmp_path_factory.mktemp("mutation") / "tree")
    # Tests that fail anyway prove nothing.
    untouched = made.run([test for mutation in MUTATIONS if not mutation.slow for test in mutation.tests])
    assert untouched.passed, untouched.output
    return made


@pytest.mark.parametrize("mutation", QUICK, ids=lambda mutation: str(mutation.name))
def test_mutation_fails_its_tests(copy: Copy, mutation: Mutation) -> None:
    with copy.mutated(mutation):
        outcome = copy.run(mutation.tests)
    assert outcome.noticed, outcome.output


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.name))
def test_every_mutation_matches_its_source_line(copy: Copy, mutation: Mutation) -> None:
    with copy.mutated(mutation):
        pass
