"""What the audit service does: append, prove, tell, and look itself over at the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.messaging.batches import BatchProcessor
from services.audit.handlers.export import Export
from services.audit.handlers.history import History
from services.audit.handlers.proofs import Proofs
from services.audit.handlers.published_log import PublishedLog
from services.audit.handlers.statistics import StatisticsHandler


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditHandlers:
    """log: the consumer of `audit.log`; directory: of the replica of token keys; published: the tiles."""

    log: BatchProcessor[Any]
    directory: BatchProcessor[Any]
    history: History
    proofs: Proofs
    published: PublishedLog
    statistics: StatisticsHandler
    export: Export
