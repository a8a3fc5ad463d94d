"""The gateway: background work only, no HTTP resources of its own."""

from __future__ import annotations

from runtime.entrypoints.service import WebService


class GatewayService(WebService):
    name = "gateway"


SERVICE = GatewayService
