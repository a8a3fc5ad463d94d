"""A route of a service behind a router, without the service's process."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client import CollectorRegistry

from runtime.access.gate import Gate
from runtime.access.tokens import TokenVerifier
from runtime.clock import SystemClock
from runtime.telemetry.metrics import HttpMetrics
from runtime.web.protocol import CONNECTION
from runtime.web.router import Route, Router
from tests.support.resource_paths import path_of


def routed(route: Route, **environ: str) -> tuple[int, Any]:
    """Send a request without a body and without a caller; return the status and the document."""
    verifier = TokenVerifier(lambda: {"keys": []}, "kopuro:kg", SystemClock(), clients=lambda _: None)
    router = Router([route], Gate(verifier, lambda _: False), HttpMetrics(CollectorRegistry()))
    statuses: list[str] = []
    request = {
        "REQUEST_METHOD": route.method,
        "REMOTE_ADDR": "192.0.2.1",
        "RAW_PATH_INFO": path_of(route.url),
        "CONTENT_LENGTH": "0",
        CONNECTION: None,
        **environ,
    }
    (body,) = router(request, lambda status, headers: statuses.append(status))
    return int(statuses[0].split()[0]), json.loads(body)
