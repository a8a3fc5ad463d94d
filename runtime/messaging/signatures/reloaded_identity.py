"""The identity of a running service: key file and manifest are read again when they have changed.

So a signing key is replaced without a restart. First the manifest lists the new key beside the earlier one,
then the service's key file gets the new key, and then the earlier one is removed from the manifest. A
consumer that meets an unknown key reads the manifest at once, so no message is refused before the timer's
next tick.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Table

from runtime.messaging.signatures.identity import FileUnreadable, HubIdentity, load_identity
from runtime.messaging.signatures.verifier import FactVerifier
from runtime.settings import Settings, SettingsError
from runtime.storage.database import Database

_log = logging.getLogger(__name__)

_NOT_READ: Final[tuple[tuple[int, int, int], ...]] = ()


class IdentityFiles:
    """The files that `load_identity` reads."""

    def __init__(self, settings: Settings, service: str) -> None:
        self._settings = settings
        self._service = service
        self._files = (settings.service_key, settings.manifest, settings.hub_key)
        self._seen = _NOT_READ

    def changed(self) -> HubIdentity | None:
        """Return the identity, or None if the files are those of the last call. Raises SettingsError."""
        try:
            found = [file.stat() for file in self._files]
        except OSError as error:
            raise FileUnreadable(
                [f"a file of the identity cannot be read ({type(error).__name__})"]
            ) from None
        versions = tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)
        if versions == self._seen:
            return None
        # Before reading: files that do not fit together are reported once, and read again when one changes.
        self._seen = versions
        try:
            return load_identity(self._settings, self._service)
        except FileUnreadable:
            # Read again at the next call: the manifest may no longer list a stolen key.
            self._seen = _NOT_READ
            raise


class ReloadedIdentity:
    """The present identity. verifier: stays the same object. key: signs what is published now."""

    def __init__(self, identity: HubIdentity, files: IdentityFiles | None = None) -> None:
        """files: None if the identity never changes."""
        self.present = identity
        self._remembered = identity.manifest.version
        self._files = files
        # The files are read at every look until that succeeds: the reason is logged once.
        self._unreadable: str | None = None
        self.verifier = FactVerifier(identity.manifest, owners=identity.owners, on_unknown_key=self._read)
        self.key = identity.key

    def remember(self, database: Database, table: Table) -> None:
        """See `HubIdentity.remember`."""
        self.present.remember(database, table)

    def look(self, database: Database, table: Table) -> None:
        """Take over changed files. A fault is logged, and the earlier identity stays.

        The service signs with a new key after the version of the manifest is stored. Raises
        DatabaseUnavailable.
        """
        self._read()
        if self.present.key.kid != self.key.kid or self.present.manifest.version != self._remembered:
            try:
                self.present.remember(database, table)
            except SettingsError as fault:
                _log.error("manifest refused", extra={"reason": "; ".join(fault.problems)})
                return
            self._remembered = self.present.manifest.version
            if self.present.key.kid != self.key.kid:
                _log.info("signing with the key %s from now on", self.present.key.kid)
            self.key = self.present.key

    def _read(self) -> None:
        """Verify with a changed manifest from now on. Without a database: it is called within a batch."""
        if self._files is None:
            return
        try:
            changed = self._files.changed()
        except SettingsError as fault:
            reason = "; ".join(fault.problems)
            if reason != self._unreadable:
                _log.error("new identity unusable; keeping the present one", extra={"reason": reason})
            self._unreadable = reason if isinstance(fault, FileUnreadable) else None
            return
        self._unreadable = None
        if changed is None:
            return
        used = self.present.manifest.version
        if changed.manifest.version < used:
            _log.error(
                "new manifest is older than the present one; keeping the present one",
                extra={"version": changed.manifest.version, "present": used},
            )
            return
        self.present = changed
        self.verifier.use(changed.manifest)
