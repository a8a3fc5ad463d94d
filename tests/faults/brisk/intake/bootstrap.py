"""Intake's own bootstrap, with shorter times and a smaller bound than an operator would choose."""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

from runtime import foundation
from runtime.application import Application
from runtime.messaging.rabbitmq import RabbitBroker
from runtime.settings import Settings
from services.intake import bootstrap
from services.intake.handlers import Handlers
from tests.faults.brisk.bounds import CONFIRM_SECONDS, CONNECT_SECONDS, HEARTBEAT_SECONDS, OUTBOX_BOUND


def build(settings: Settings) -> Application:
    brisk_broker = partial(
        RabbitBroker,
        heartbeat=HEARTBEAT_SECONDS,
        connect_timeout=CONNECT_SECONDS,
        confirm_timeout=CONFIRM_SECONDS,
    )
    with (
        patch.object(foundation, "RabbitBroker", brisk_broker),
        patch.object(bootstrap, "Handlers", partial(Handlers, outbox_bound=OUTBOX_BOUND)),
    ):
        return bootstrap.build(settings)
