"""The command `python -m runtime services.intake`, which runs one service process."""

from __future__ import annotations

import gc
import sys
import warnings

_HELP = (
    "usage: python -m runtime PACKAGE\n\n"
    "Run one service until SIGTERM. PACKAGE: for example services.intake. Its settings are variables of the\n"
    "environment, which docs/operations.md lists.\n"
)


def main(arguments: list[str]) -> int:
    """Run the service in the package that `arguments` names; return the exit status."""
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(_HELP)
        return 0
    if len(arguments) != 1:
        sys.stderr.write(_HELP)
        return 2
    # Imports create objects and no garbage. Looking for it would take a seventh of their time; the collector
    # is enabled again before the service is built.
    gc.disable()
    with warnings.catch_warnings():
        # eventlet warns on import that it is deprecated; ADR 0001 explains why we use it
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet

    # Before any other import: modules imported unpatched would block the hub.
    eventlet.monkey_patch()
    from runtime.process import run

    return run(arguments[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
