"""`python -m runtime services.intake`: one service process."""

from __future__ import annotations

import sys
import warnings


def main(arguments: list[str]) -> int:
    """Run the service in the package that `arguments` names; gives the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m runtime PACKAGE, for example services.intake\n")
        return 2
    with warnings.catch_warnings():
        # eventlet advises against itself on import; ADR 0001 says why it is here all the same
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet

    # Before anything else is imported: what was imported unpatched would block the hub.
    eventlet.monkey_patch()
    from runtime.process import run

    return run(arguments[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
