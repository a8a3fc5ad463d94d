"""Verification of transparency logs from their raw leaves, without trust in the hub.

Errors: `TlogError` and its subclasses in `kopuro_client.tlog.errors`.
"""

from kopuro_client.tlog.bundle import Bundle, BundledEntry
from kopuro_client.tlog.checkpoint import Checkpoint, parse_checkpoint
from kopuro_client.tlog.errors import (
    ContentError,
    ForkError,
    HistoryError,
    MalformedError,
    ProofError,
    RollbackError,
    TlogError,
    UntrustedError,
)
from kopuro_client.tlog.keys import Algorithm, SigningKey, VerifierKey
from kopuro_client.tlog.log_check import VerifiedLog, verify_log
from kopuro_client.tlog.memory import Memory, RememberedCheckpoint
from kopuro_client.tlog.note import SignatureLine, Signed, SignedNote, signature_line
from kopuro_client.tlog.policy import AcceptedCheckpoint, TrustPolicy, Witness
from kopuro_client.tlog.proof_file import ProofFile
from kopuro_client.tlog.receipts import Receipt, receipts_in
from kopuro_client.tlog.replay import Replayed, check_spare_files, replay
from kopuro_client.tlog.statement import ProvedStatement, VerifiedStatement
from kopuro_client.tlog.tiles import DirectorySource, HttpSource, Source, TileNodes
from kopuro_client.tlog.tree import (
    EMPTY_ROOT,
    leaf_hash,
    node_hash,
    prove_consistency,
    verify_consistency,
    verify_inclusion,
)

__all__ = [
    "EMPTY_ROOT",
    "AcceptedCheckpoint",
    "Algorithm",
    "Bundle",
    "BundledEntry",
    "Checkpoint",
    "ContentError",
    "DirectorySource",
    "ForkError",
    "HistoryError",
    "HttpSource",
    "MalformedError",
    "Memory",
    "ProofError",
    "ProofFile",
    "ProvedStatement",
    "Receipt",
    "RememberedCheckpoint",
    "Replayed",
    "RollbackError",
    "SignatureLine",
    "Signed",
    "SignedNote",
    "SigningKey",
    "Source",
    "TileNodes",
    "TlogError",
    "TrustPolicy",
    "UntrustedError",
    "VerifiedLog",
    "VerifiedStatement",
    "VerifierKey",
    "Witness",
    "check_spare_files",
    "leaf_hash",
    "node_hash",
    "parse_checkpoint",
    "prove_consistency",
    "receipts_in",
    "replay",
    "signature_line",
    "verify_consistency",
    "verify_inclusion",
    "verify_log",
]
