"""One entry's proof as a text that anybody can keep and check offline, without us.

Source: https://c2sp.org/tlog-proof.
"""

from __future__ import annotations

import base64

from services.audit.domain.merkle import Proof

_HEADER = "c2sp.org/tlog-proof@v1"


def tlog_proof(index: int, hashes: Proof, checkpoint: bytes) -> str:
    """The proof that the leaf is number `index` under the checkpoint, whose note is included as it is."""
    lines = [_HEADER, f"index {index}", *(base64.b64encode(digest).decode("ascii") for digest in hashes)]
    return "".join(f"{line}\n" for line in lines) + "\n" + checkpoint.decode()
