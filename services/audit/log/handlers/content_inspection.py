"""Inspection of what is stored beside the log: openings, search tables and closings.

All of it follows from the entries, so it is built again and compared. An opening may be missing only with a
reason in the log: a `content.erased` of its referral. Logs of earlier builds have none for what they erased;
up to the first such entry, the closing of the referral counts as the reason.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from contracts.errors import Defect
from contracts.facts import ContentErased
from services.audit.log.domain.entry import organizations_of
from services.audit.log.domain.facets import facets_of
from services.audit.log.domain.leaf import fields_of, key_commitment, referral_key, referral_key_of
from services.audit.log.domain.opening import (
    ContentMismatch,
    changed_content,
    changed_head,
    is_opened_by,
)
from services.audit.log.domain.retention import CLOSING_TYPES, KEPT_TYPES, closing_of
from services.audit.log.handlers.entry_verification import LogDamaged
from services.audit.log.ports import Contents, Log, StoredContent

# Rows of the organisations' table per turn.
PAIRS: Final = 256

# The position before the first (organization, index) pair.
FIRST_PAIR: Final = ("", -1)


class ReasonMissing(LogDamaged):
    """Content is missing, and the log has no reason for it. The reason may still be in transit."""


class ContentInspection:
    """Compares what is stored beside the log with the log, in pieces."""

    def __init__(self, log: Log, contents: Contents, *, is_filed: Callable[[], bool] = lambda: True) -> None:
        """is_filed: whether every entry of earlier builds has got its search keys (`filing`)."""
        self._log = log
        self._contents = contents
        self.is_filed = is_filed

    def check(self, transaction: Connection, start: int, stop: int, *, is_filed: bool) -> None:
        """Compare what is stored beside the entries of `[start, stop)`, whose leaves are verified.

        is_filed: what `is_filed` returned before the transaction began, which does not see later steps of
        filing; False if that is unknown.

        Raises LogDamaged, and ReasonMissing when nothing else is wrong.
        """
        # First: outside one snapshot a step of filing may end meanwhile, and the rows may have more keys.
        unfiled = self._contents.unfiled(transaction)
        rows = self._contents.stored(transaction, start, stop)
        parties: set[tuple[str, int]] = set()
        lost: dict[str, list[int]] = {}
        revoked: dict[str, bool] = {}
        if unfiled and is_filed:
            # It would excuse missing search keys and closings.
            raise LogDamaged("The list of entries without search keys was changed.")
        secret = self._secret(transaction)
        for row in rows:
            leaf = _fields(row)
            self._check_key(row, leaf, secret)
            if row.text is None or row.salt is None:
                self._check_erased(row, leaf, unfiled)
                lost.setdefault(leaf["referral_id"], []).append(row.index)
                parties.update((party, row.index) for party in [leaf["organization"]] if party)
                continue
            if not is_opened_by(row.leaf, row.salt, row.text):
                raise LogDamaged(changed_content(row.index).detail)
            data = orjson.loads(row.text)
            expected = facets_of(leaf["type"], leaf["actor"], data)
            if row.index in unfiled:
                # Some may be missing, and none was added.
                _compare_facets(row, [facet for facet in expected if facet in row.facets])
            else:
                _compare_facets(row, expected)
                closing = closing_of(
                    leaf["type"], leaf["referral_id"], dt.datetime.fromisoformat(leaf["time"]), data
                )
                if closing is not None:
                    revoked[closing.referral_id] = revoked.get(closing.referral_id, False) or closing.revoked
            parties.update((organization, row.index) for organization in organizations_of(data))
        found = self._contents.found_by(transaction, {party for party, _ in parties}, start, stop)
        for organization, index in sorted(parties - found, key=lambda pair: pair[1]):
            raise LogDamaged(f"A search by {organization} does not find entry {index}.")
        self._check_closings(transaction, revoked)
        self._check_reasons(transaction, lost)

    def walk(self, transaction: Connection, after: tuple[str, int], size: int) -> tuple[str, int] | None:
        """Compare the next rows of the organisations' table; return the last one, None at the end.

        size: later entries are ignored. Raises LogDamaged for a row that its entry does not have.
        """
        pairs = self._contents.pairs(transaction, after, PAIRS)
        if not pairs:
            return None
        texts = self._contents.openings(transaction, [index for _, index in pairs])
        for organization, index in pairs:
            # Without the content nobody can say who the parties were. Beyond the size: not verified yet.
            text = texts.get(index)
            if index < size and text is not None and organization not in organizations_of(orjson.loads(text)):
                raise LogDamaged(f"A search by {organization} finds entry {index}, which does not name it.")
        return pairs[-1]

    def _secret(self, transaction: Connection) -> bytes:
        try:
            return self._log.tag_secret(transaction)
        except Defect as damage:
            raise LogDamaged(str(damage)) from damage

    def _check_key(self, row: StoredContent, leaf: Any, secret: bytes) -> None:
        if row.head is None:
            return
        referral_id = leaf["referral_id"]
        expected = None if referral_id is None else key_commitment(referral_key(secret, referral_id))
        if referral_key_of(row.leaf, row.head) != expected:
            raise LogDamaged(f"The tag of entry {row.index} was not made with the secret of the log's tags.")

    def _check_erased(self, row: StoredContent, leaf: Any, unfiled: range) -> None:
        if leaf["referral_id"] is None or leaf["type"] in KEPT_TYPES:
            raise LogDamaged(f"The content of entry {row.index} is missing, although it is never erased.")
        of_leaf = frozenset({("actor", leaf["actor"])})
        if row.facets != of_leaf and (row.facets or row.index >= unfiled.stop):
            raise LogDamaged(f"The search keys of entry {row.index}, whose content is erased, were changed.")

    def _check_closings(self, transaction: Connection, revoked: dict[str, bool]) -> None:
        recorded = self._contents.closures(transaction, revoked)
        for referral_id, is_revoked in revoked.items():
            if referral_id not in recorded or (is_revoked and not recorded[referral_id]):
                raise LogDamaged(
                    f"The closure of the referral {referral_id} is missing, although it is never erased."
                )

    def _check_reasons(self, transaction: Connection, lost: dict[str, list[int]]) -> None:
        if not lost:
            return
        indices = self._contents.of_types(transaction, lost, {ContentErased.type})
        erased_below: dict[str, int] = {}
        for fact in self._data(transaction, indices):
            referral_id, stop = fact["referral_id"], fact["stop"]
            erased_below[referral_id] = max(stop, erased_below.get(referral_id, 0))
        missing = {
            referral_id: [index for index in entries if index >= erased_below.get(referral_id, 0)]
            for referral_id, entries in lost.items()
        }
        self._check_earlier_builds(transaction, {r: entries for r, entries in missing.items() if entries})

    def _check_earlier_builds(self, transaction: Connection, missing: dict[str, list[int]]) -> None:
        if not missing:
            return
        since = self._contents.first_of_type(transaction, ContentErased.type)
        for referral_id, entries in missing.items():
            is_closed = bool(self._contents.of_types(transaction, {referral_id}, CLOSING_TYPES))
            for index in entries:
                if not is_closed or (since is not None and index >= since):
                    raise ReasonMissing(
                        f"The content of entry {index} is missing, and the log records no reason."
                    )

    def _data(self, transaction: Connection, indices: Sequence[int]) -> Iterable[Any]:
        try:
            opened = self._log.opened_at(transaction, indices)
        except ContentMismatch as mismatch:
            raise LogDamaged(mismatch.detail) from mismatch
        return [leaf.data for leaf in opened.values() if leaf.data is not None]


def _fields(row: StoredContent) -> dict[str, Any]:
    try:
        return fields_of(row.leaf, row.head)
    except (ValueError, KeyError):
        raise LogDamaged(changed_head(row.index).detail) from None


def _compare_facets(row: StoredContent, expected: Sequence[tuple[str, str]]) -> None:
    if row.facets != frozenset(expected):
        raise LogDamaged(f"The search keys of entry {row.index} are not those of its content.")
