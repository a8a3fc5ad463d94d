"""Writes the test vectors: `python -m tests.vectors.generate`.

The files in `contracts/vectors/` are generated and never edited by hand. They change only with the contract.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import contracts
from tests.vectors.paging import cursor_paging
from tests.vectors.sealing import sealing, thumbprints
from tests.vectors.signing import receipts, request_proofs, signed_notes
from tests.vectors.webhooks import webhooks

FOLDER = Path(contracts.__path__[0]) / "vectors"
FILES: Mapping[str, Callable[[], dict[str, Any]]] = {
    "cursor_paging.json": cursor_paging,
    "receipts.json": receipts,
    "request_proofs.json": request_proofs,
    "sealing.json": sealing,
    "signed_notes.json": signed_notes,
    "thumbprints.json": thumbprints,
    "webhooks.json": webhooks,
}


def content(name: str) -> bytes:
    """Return the content of a file of vectors."""
    return json.dumps(FILES[name](), ensure_ascii=False, indent=1).encode() + b"\n"


def main() -> None:
    """Write every file."""
    argparse.ArgumentParser(prog="python -m tests.vectors.generate", description=__doc__).parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name in FILES:
        (FOLDER / name).write_bytes(content(name))


if __name__ == "__main__":
    main()
