"""The reason of a dead letter, from the error that caused it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.messaging.dead_letters import dead_letter
from runtime.messaging.dead_letters.dead_letter import reason_of

# The folder of our packages: the checkout, or site-packages where they come from a wheel.
FOLDER = Path(dead_letter.__file__).parents[3]


def _error_through(*files: str) -> Exception:
    """Return an error that passed through files in the folder of our packages; the last one raised it."""
    run = compile("raise ValueError('a name')", str(FOLDER / files[-1]), "exec")
    for file in reversed(files[:-1]):
        run = compile(f"exec({_kept(run)})", str(FOLDER / file), "exec")
    with pytest.raises(ValueError, match="a name") as raised:
        exec(run, {"KEPT": _CODE})  # noqa: S102 - code of this test
    return raised.value


_CODE: list[object] = []


def _kept(code: object) -> str:
    _CODE.append(code)
    return f"KEPT[{len(_CODE) - 1}]"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["services/vault/handlers.py"], "ValueError at services/vault/handlers.py:1"),
        # A library beside our packages, as in an environment that a wheel is installed in.
        (
            ["services/vault/handlers.py", "sqlalchemy/engine.py"],
            "ValueError at services/vault/handlers.py:1",
        ),
        (["runtime/batches.py", ".venv/lib/joserfc/jwe.py"], "ValueError at runtime/batches.py:1"),
        (["sqlalchemy/engine.py"], "ValueError"),
    ],
)
def test_reason_names_last_line_of_our_packages(files: list[str], reason: str) -> None:
    assert reason_of(_error_through(*files)) == reason
