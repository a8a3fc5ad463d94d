"""A service's own bootstrap, on the faulty ports."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

from runtime import foundation
from runtime.application import Application
from runtime.settings import Settings
from tests.crash.faulty.ports import FaultyBroker, FaultyDatabase


def with_faults(build: Callable[[Settings], Application], settings: Settings) -> Application:
    """What `build` makes when the foundation that it lays is of faulty parts."""
    with patch.multiple(foundation, Database=FaultyDatabase, RabbitBroker=FaultyBroker):
        return build(settings)
