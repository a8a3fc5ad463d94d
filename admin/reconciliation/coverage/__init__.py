"""Every column of every service's tables: what reconciliation compares it with, or why it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from admin.reconciliation.coverage.audit import AUDIT
from admin.reconciliation.coverage.delivery import DELIVERY
from admin.reconciliation.coverage.directory import DIRECTORY
from admin.reconciliation.coverage.intake import INTAKE
from admin.reconciliation.coverage.routing import ROUTING
from admin.reconciliation.coverage.rules import Tables
from admin.reconciliation.coverage.vault import VAULT

# Keyed by service.
COVERAGE: Final[Mapping[str, Tables]] = {
    "audit": AUDIT,
    "intake": INTAKE,
    "routing": ROUTING,
    "vault": VAULT,
    "delivery": DELIVERY,
    "directory": DIRECTORY,
}
