"""The ports of the log: its storage, its publication, its witnesses.

The reports use the log through this package only, so it also exports the values that the ports exchange.
"""

from services.audit.log.domain.entry import COVER
from services.audit.log.domain.facets import CONCERNED, RECORD, SEARCHED
from services.audit.log.domain.head import Head
from services.audit.log.domain.leaf import opened_head, referral_key
from services.audit.log.domain.merkle import Proof, leaf_hash
from services.audit.log.domain.published import PublishedCheckpoint
from services.audit.log.domain.search import Search
from services.audit.log.ports.checks import CheckRecord, VerifiedPrefix
from services.audit.log.ports.entries import (
    Closures,
    Contents,
    Log,
    NewEntry,
    OpenedLeaf,
    PartyLeaf,
    StoredContent,
    StoredLeaf,
    Unfiled,
)
from services.audit.log.ports.publication import (
    Cosignature,
    LogPublication,
    PublicationRecord,
    PublicationUnavailable,
    PublishedTree,
    Witnesses,
    WitnessUnreachable,
)
from services.audit.log.ports.receipts import DueReceipt, DueReceipts

__all__ = [
    "CONCERNED",
    "COVER",
    "RECORD",
    "SEARCHED",
    "CheckRecord",
    "Closures",
    "Contents",
    "Cosignature",
    "DueReceipt",
    "DueReceipts",
    "Head",
    "Log",
    "LogPublication",
    "NewEntry",
    "OpenedLeaf",
    "PartyLeaf",
    "Proof",
    "PublicationRecord",
    "PublicationUnavailable",
    "PublishedCheckpoint",
    "PublishedTree",
    "Search",
    "StoredContent",
    "StoredLeaf",
    "Unfiled",
    "VerifiedPrefix",
    "WitnessUnreachable",
    "Witnesses",
    "leaf_hash",
    "opened_head",
    "referral_key",
]
