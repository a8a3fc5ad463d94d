"""Makes entries from before there were facets searchable by them, a little at a time.

And has their referrals' content kept no longer than that of others: what ended them is noted as well.
"""

from __future__ import annotations

import logging
from typing import Final

from runtime.storage.database import Database
from services.audit.log.ports import Unfiled

_log = logging.getLogger(__name__)
# So many entries in one transaction, and in one turn.
STEP: Final = 500


class Filing:
    """`turn` is called again and again. A crash loses the step under way, which is done again.

    Two processes at once wait for each other, and do nothing twice.
    """

    def __init__(self, database: Database, unfiled: Unfiled) -> None:
        self._database = database
        self._unfiled = unfiled
        self._done = False

    def turn(self) -> None:
        """One step, until there is nothing left; from then on nothing. Raises Unavailable."""
        if self._done:
            return
        with self._database.write() as transaction:
            left = self._unfiled.file(transaction, STEP)
        self._done = not left
        if self._done:
            _log.info("every entry can be found by its facets")
