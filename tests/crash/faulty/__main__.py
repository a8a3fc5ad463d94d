"""`python -m tests.crash.faulty services.intake`: a service that crashes at a point set by a test.

All of its parts are the real ones; its database and its broker end their own process at the planned moment.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from unittest.mock import patch

from tests.support.altered_service import run_altered


def faulty_ports() -> AbstractContextManager[object]:
    from runtime import service_platform
    from tests.crash.faulty.ports import FaultyBroker, FaultyDatabase

    return patch.multiple(service_platform, Database=FaultyDatabase, RabbitBroker=FaultyBroker)


if __name__ == "__main__":
    sys.exit(run_altered(sys.argv[1], faulty_ports))
