"""Replaces no part of a service, and prints the state of its process (see `altered_service`)."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from eventlet import patcher

from runtime import service_platform

_real_os = patcher.original("os")


@contextmanager
def altered(_package: str) -> Iterator[None]:
    umask = os.umask(0o077)
    os.umask(umask)
    broker = vars(service_platform)["RabbitBroker"]
    report = {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "directory": str(os.getcwd()),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "umask": umask,
        "collects": gc.isenabled(),
        "threads": len(_real_os.listdir("/proc/self/task")),
        "services": sorted(name for name in sys.modules if name.startswith("services.")),
        "altering": sorted(name for name in sys.modules if name.startswith("tests.") and _alters(name)),
        "broker": f"{broker.__module__}.{broker.__qualname__}",
        "files": [_target(number) for number in range(10) if _target(number)],
    }
    print(json.dumps(report), flush=True)  # noqa: T201 - read by the test
    yield


def _alters(module: str) -> bool:
    return hasattr(sys.modules[module], "altered")


def _target(descriptor: int) -> str:
    try:
        return str(_real_os.readlink(f"/proc/self/fd/{descriptor}"))
    except FileNotFoundError:
        return ""
