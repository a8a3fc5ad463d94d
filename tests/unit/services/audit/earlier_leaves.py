"""Entries of formats 1 and 2, as earlier builds appended them, and a log that holds them."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import insert

from contracts.canonical import canonical_json
from contracts.envelope import Envelope
from services.audit.adapters.tables import ENTRIES, FACETS, NODES, OPENINGS, ORGANIZATIONS
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.entry import entry_of_message, organizations_of
from services.audit.log.domain.facets import facets_of
from services.audit.log.domain.merkle import leaf_hash
from tests.unit.services.audit.logs import NOON, LogOnDatabase


def earlier_leaf(message: Envelope, salt: bytes) -> bytes:
    """Return the leaf that formats 1 and 2 have for an event, written from their documentation."""
    entry = entry_of_message(message)
    time = entry.time.astimezone(dt.UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    members = {
        "actor": entry.actor,
        "commitment": "sha256:" + sha256(salt + canonical_json(message.data)).hexdigest(),
        "hub": entry.hub,
        "message_id": entry.message_id,
        "organization": entry.organization,
        "referral_id": entry.referral_id,
        "time": time,
        "type": entry.type,
    }
    return canonical_json(members)


def append_as_earlier_build(
    audit: LogOnDatabase, messages: Sequence[Envelope], *, respelled: bool = False
) -> None:
    """Append entries as an earlier build did. respelled: store the data spelled otherwise, as in format 1."""
    with audit.database.write() as transaction:
        head = audit.log.head(transaction)
        assert head is not None
        chronology: Chronology = head.chronology
        leaves = []
        for index, message in enumerate(messages, head.size):
            salt = os.urandom(32)
            leaf = earlier_leaf(message, salt)
            leaves.append(leaf)
            chronology = chronology.after(message.time)
            row: dict[str, Any] = {
                "leaf_index": index,
                "leaf": leaf,
                "message_id": message.id,
                "type": message.type,
                "time": message.time,
                "latest": chronology.latest,
                "referral_id": None if b'"referral_id":null' in leaf else message.partition_key,
            }
            transaction.execute(insert(ENTRIES), [row])
            data = dict(reversed(list(message.data.items()))) if respelled else message.data
            transaction.execute(insert(OPENINGS), [{"leaf_index": index, "salt": salt, "data": data}])
            for organization in organizations_of(message.data):
                named = {"organization": organization, "leaf_index": index}
                transaction.execute(insert(ORGANIZATIONS), [named])
            for facet, value in facets_of(message.type, message.source, message.data):
                found = {"facet": facet, "value": value, "leaf_index": index}
                transaction.execute(insert(FACETS), [found])
        frontier, rows = head.frontier.grow([leaf_hash(leaf) for leaf in leaves])
        for node in rows:
            line = {"level": node.level, "first": node.first, "hashes": b"".join(node.hashes)}
            transaction.execute(insert(NODES), [line])
        assert audit.log.advance(transaction, audit.key.sign(frontier, chronology, NOON), from_size=head.size)
