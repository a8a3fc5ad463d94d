"""The vault service: queue consumers only, no HTTP resources."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.entrypoints.batches import batches
from runtime.entrypoints.service import WebService
from runtime.messaging.ports import Delivery
from services.vault.bootstrap import VaultParts


class VaultService(WebService):
    name = "vault"
    handlers: VaultParts

    @batches("vault.sealed", interval=0.02)
    def sealed_messages(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.sealed_messages.process(deliveries)

    @batches("vault.events", interval=0.02)
    def events(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.events.process(deliveries)

    @batches("vault.directory")
    def directory(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.directory.process(deliveries)

    @batches("vault.receipts", interval=0.2)
    def receipts(self, deliveries: Sequence[Delivery]) -> None:
        self.application.process_receipts(deliveries)


SERVICE = VaultService
