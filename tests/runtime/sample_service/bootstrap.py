"""Assembly of the sample service."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from time import sleep
from typing import Any

from runtime.access.clients import RegisteredClient
from runtime.access.tokens import TokenVerifier, issuer_of
from runtime.application import Application
from runtime.clock import SystemClock
from runtime.settings import Settings
from tests.runtime.sample_service.handlers import Handlers

CLIENTS = {
    "sample": RegisteredClient(principal="kg.sample", roles=frozenset({"partner", "auditor"}), live=True),
    "other": RegisteredClient(principal="kg.other", roles=frozenset({"partner"}), live=True),
}
EXCLUDED = "kg.excluded"  # an organisation that may not use the hub


class NoDatabase:
    def close(self) -> None:
        """Nothing is held."""


def build(settings: Settings) -> Application[Any]:
    """The token keys and a file that makes the service ready lie beside the discovery document."""
    directory = settings.discovery.parent
    (directory / "collector").write_text("enabled" if gc.isenabled() else "disabled")
    jwks = json.loads((directory / "jwks.json").read_text())
    return Application(
        name="sample",
        settings=settings,
        database=NoDatabase(),
        handlers=Handlers(sleep),
        verifier=TokenVerifier(lambda: jwks, issuer_of(settings.hub), SystemClock(), clients=CLIENTS.get),
        is_excluded=EXCLUDED.__eq__,
        readiness=[("marker", lambda: _marker(directory / "ready"))],
    )


def _marker(file: Path) -> str | None:
    return None if file.exists() else "the marker file is missing"
