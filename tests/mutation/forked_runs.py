"""`python -m tests.mutation.forked_runs`: runs of pytest, as forks of a process with the libraries imported.

Importing pytest and other people's libraries takes 1 s of CPU time, more than most runs' tests. Nothing of
the project is imported before a fork, since a mutation may have changed it.

Each line on stdin is a run: a JSON object with the arguments of pytest and the file for its output. The
answer is a line with its exit code.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys

from _pytest.config import default_plugins

_LIBRARIES = (
    *("alembic", "amqp", "cryptography", "eventlet", "httpx", "hypothesis", "joserfc.jwt", "kombu"),
    *("marshmallow", "orjson", "prometheus_client", "psycopg2", "pytest_timeout", "rfc8785"),
    *("sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite", "typer", "uuid_utils"),
    "xdist.scheduler",
)


def main() -> None:
    """Fork for each line until the other side closes stdin."""
    for name in (*(f"_pytest.{plugin}" for plugin in default_plugins), *_LIBRARIES):
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(order["arguments"], order["output"])
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run(arguments: list[str], output: str) -> None:
    import pytest

    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    code = 70
    try:
        code = int(pytest.main(arguments))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
