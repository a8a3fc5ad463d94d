"""Intake with short time limits and a small outbox bound (see `tests.support.altered_service`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

from runtime import service_platform
from runtime.messaging.rabbit.broker import RabbitBroker
from services.intake import bootstrap
from services.intake.commits import SubmissionCommits

HEARTBEAT_SECONDS = 2
CONNECT_SECONDS = 2
CONFIRM_SECONDS = 2
# Messages; a referral is two.
OUTBOX_BOUND = 40


@contextmanager
def altered(_package: str) -> Iterator[None]:
    """Give intake the time limits and the bound above."""
    impatient_broker = partial(
        RabbitBroker,
        heartbeat=HEARTBEAT_SECONDS,
        connect_timeout=CONNECT_SECONDS,
        confirm_timeout=CONFIRM_SECONDS,
    )
    with (
        patch.object(service_platform, "RabbitBroker", impatient_broker),
        patch.object(bootstrap, "SubmissionCommits", partial(SubmissionCommits, outbox_bound=OUTBOX_BOUND)),
    ):
        yield
