"""Examples of derandomised tests that are the same in every run."""

from __future__ import annotations

from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants


def depend_on_their_test() -> None:
    """Take no constants of the project into Hypothesis's examples.

    Hypothesis reads them from the modules loaded so far. Then an example depends on the tests that the worker
    ran before, and a failure on one machine cannot be repeated on another. Reading them takes each worker 5 s
    of CPU time. Hypothesis has no setting for it.
    """
    providers._get_local_constants = _none


def _none() -> Constants:
    return providers._local_constants
