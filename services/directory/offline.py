"""The directory's ledger and approvals for commands that write to its database."""

from __future__ import annotations

import datetime as dt

from runtime.clock import SystemClock
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from services.directory.adapters.application_store import SqlApplicationStore
from services.directory.adapters.approvals import SqlApprovalStore
from services.directory.adapters.register import SqlRegister
from services.directory.adapters.sealing_keys import SqlSealingKeyStore
from services.directory.adapters.service_index import SqlServiceIndex
from services.directory.adapters.tables import MESSAGING
from services.directory.domain.approval import Policy
from services.directory.handlers.application_steps import ApplicationSteps
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.change_rates import ChangeRates
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


def offline_approvals(ledger: Ledger, policy: Policy) -> Approvals:
    """Return the approvals on the ledger.

    They end the open requests of a principal that loses its standing.
    """
    store = SqlApprovalStore()
    # A request that ends lets its application wait again; how long traces are kept does not matter for that.
    steps = ApplicationSteps(SqlApplicationStore(), store, kept=dt.timedelta(0))
    return Approvals(ledger, store, policy, ChangeRates(), steps.approval_settled)
