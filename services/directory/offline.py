"""The directory's ledger for commands that write to its database beside the service, or without it."""

from __future__ import annotations

from runtime.clock import SystemClock
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from services.directory.adapters.register import SqlRegister
from services.directory.adapters.sealing_keys import SqlSealingKeyStore
from services.directory.adapters.service_index import SqlServiceIndex
from services.directory.adapters.tables import MESSAGING
from services.directory.handlers.ledger import Ledger


def offline_ledger(database: Database, hub: str) -> Ledger:
    """Return a ledger whose facts come from the hub's directory."""
    return Ledger(
        database=database,
        register=SqlRegister(),
        index=SqlServiceIndex(),
        keys=SqlSealingKeyStore(),
        outbox=Outbox(MESSAGING.outbox),
        source=f"/{hub}/directory",
        clock=SystemClock(),
        committed=lambda: None,  # the service's relay polls its outbox
    )
