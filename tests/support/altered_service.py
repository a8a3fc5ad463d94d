"""`python -m tests.support.altered_service MODULE PACKAGE`: a service process with some parts replaced.

MODULE has a context manager `altered(package)` that replaces them, for example `tests.crash.faults`.
"""

from __future__ import annotations

import gc
import importlib
import sys
import warnings


def run_altered(module: str, package: str) -> int:
    """Run the service in `package` with the parts of `module`; return the exit status."""
    # The steps and the order of the imports are those of `runtime.__main__`: the service must start alike.
    gc.disable()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet

    eventlet.monkey_patch()
    from runtime.process import run

    with importlib.import_module(module).altered(package):
        return run(package)


if __name__ == "__main__":
    sys.exit(run_altered(*sys.argv[1:]))
