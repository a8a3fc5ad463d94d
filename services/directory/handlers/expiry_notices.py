"""Announces secrets and keys that expire, once for each stage, to the mailbox of their organisation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from contracts.facts import CredentialExpiring
from services.directory.domain.client import Client
from services.directory.domain.credential_expiry import Expiry, expiries, expiring
from services.directory.domain.entry import Subject
from services.directory.handlers.ledger import Ledger
from services.directory.ports import ExpiryNoticeStore

_log = logging.getLogger(__name__)


class ExpiryNotices:
    """Looks at every client when it is run. Several processes may run it: each notice is sent once."""

    def __init__(
        self, ledger: Ledger, store: ExpiryNoticeStore, count: Callable[[Mapping[int, int]], object]
    ) -> None:
        """count: called after each run. For each number of days it gets how many credentials expire within
        them (0: have expired).
        """
        self._ledger = ledger
        self._store = store
        self._count = count

    def run(self) -> None:
        """Announce what is due. Raises DatabaseUnavailable."""
        now = self._ledger.clock.now()
        with self._ledger.database.read() as transaction:
            entries = [
                standing.entry for standing in self._ledger.register.every(transaction, Subject.client)
            ]
            found = list(expiries(entry for entry in entries if isinstance(entry, Client)))
            due = [
                (expiry, stage)
                for expiry in found
                if (stage := expiry.stage(now)) is not None
                and not self._store.is_known(transaction, expiry, stage)
            ]
        self._count(expiring(found, now))
        for expiry, stage in due:
            self._announce(expiry, stage)

    def _announce(self, expiry: Expiry, stage: int) -> None:
        client = expiry.client
        with self._ledger.writing() as writing:
            if not self._store.add(writing.transaction, expiry, stage, now=writing.now):
                return
            writing.tell(
                CredentialExpiring(
                    client_id=client.id,
                    principal=client.principal,
                    credential=expiry.credential,
                    expires_at=expiry.expires_at,
                    days=stage,
                    organization=client.organization,
                ),
                key=client.id,
            )
        _log.warning("credential expires soon", extra={"client": client.id, "days": stage})
