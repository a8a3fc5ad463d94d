"""Adds facets to entries that were appended before facets existed, step by step.

Also records the closings of their referrals, so that retention applies to them as well.
"""

from __future__ import annotations

import logging
from typing import Final

from runtime.storage.database import Database
from services.audit.log.ports import Unfiled

_log = logging.getLogger(__name__)
# Entries per transaction and turn.
STEP: Final = 500


class Filing:
    """Runs the steps; `turn` is called periodically. A crash loses only the current step, which is repeated.

    Concurrent processes wait for each other and repeat nothing.
    """

    def __init__(self, database: Database, unfiled: Unfiled) -> None:
        self._database = database
        self._unfiled = unfiled
        self._done = False

    @property
    def is_done(self) -> bool:
        """Whether every entry had its facets after a turn of this process."""
        return self._done

    def turn(self) -> None:
        """Run one step; do nothing once all steps are done. Raises Unavailable."""
        if self._done:
            return
        with self._database.write() as transaction:
            left = self._unfiled.file(transaction, STEP)
        self._done = not left
        if self._done:
            _log.info("facets of all entries stored")
