"""Use cases of the log: append, publish, cosign, inspect, retain."""

from __future__ import annotations

from dataclasses import dataclass

from services.audit.log.handlers.proofs import Proofs
from services.audit.log.handlers.published_log import PublishedLog


@dataclass(frozen=True, kw_only=True, slots=True)
class LogHandlers:
    """The handlers behind the log resources. published: the tiles and checkpoints."""

    proofs: Proofs
    published: PublishedLog
