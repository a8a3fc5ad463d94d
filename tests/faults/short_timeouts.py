"""Intake with short time limits and a small outbox bound.

Run as `python -m tests.faults.short_timeouts services.intake`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

from tests.support.altered_service import run_altered

HEARTBEAT_SECONDS = 2
CONNECT_SECONDS = 2
CONFIRM_SECONDS = 2
# Messages; a referral is two.
OUTBOX_BOUND = 40


@contextmanager
def impatient_parts() -> Iterator[None]:
    from runtime import service_platform
    from runtime.messaging.rabbit.broker import RabbitBroker
    from services.intake import bootstrap
    from services.intake.handlers import IntakeHandlers

    impatient_broker = partial(
        RabbitBroker,
        heartbeat=HEARTBEAT_SECONDS,
        connect_timeout=CONNECT_SECONDS,
        confirm_timeout=CONFIRM_SECONDS,
    )
    with (
        patch.object(service_platform, "RabbitBroker", impatient_broker),
        patch.object(bootstrap, "IntakeHandlers", partial(IntakeHandlers, outbox_bound=OUTBOX_BOUND)),
    ):
        yield


if __name__ == "__main__":
    sys.exit(run_altered(sys.argv[1], impatient_parts))
