"""Damage that a reader of the log has noticed, until the next complete inspection finds none."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


class NoticedDamage:
    """The first damage noticed in this process. description: None while there is none."""

    def __init__(self) -> None:
        self.description: str | None = None

    def note(self, damage: str) -> None:
        """Keep the damage and log it. Needs no transaction: the caller may be inside one."""
        _log.error("stored content does not match the log", extra={"reason": damage})
        if self.description is None:
            self.description = damage

    def clear(self) -> None:
        """Forget the damage: an inspection that began after it found none."""
        self.description = None
