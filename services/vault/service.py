"""The vault as a nameko service. No resource of its own: its doors are its queues."""

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
    def letters(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.letters.process(deliveries)

    @batches("vault.events", interval=0.02)
    def events(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.events.process(deliveries)

    @batches("vault.directory")
    def directory(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.directory.process(deliveries)


SERVICE = VaultService
