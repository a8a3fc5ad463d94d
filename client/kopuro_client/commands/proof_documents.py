"""Recognition of bundles, statements, receipts and checkpoints, before they are verified.

A file of another kind is a mistake on the command line. It must not look like a proof that is false.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kopuro_client.commands.input_file import read_bytes
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.tlog.bundle import FORMATS
from kopuro_client.tlog.checkpoint import Checkpoint
from kopuro_client.tlog.errors import MalformedError
from kopuro_client.tlog.note import SignedNote
from kopuro_client.tlog.statement import FORMAT as STATEMENT_FORMAT


def read_bundle(file: Path) -> bytes:
    """Return the content of a bundle file, unverified. Raises InvalidArgumentError for any other file."""
    content, document = _object_in(file)
    if document.get("format") not in FORMATS:
        raise InvalidArgumentError(f"{file} is not a bundle in one of the formats {', '.join(FORMATS)}")
    return content


def read_statement(file: Path) -> bytes:
    """Return the content of a statement file, unverified. Raises InvalidArgumentError for any other file."""
    content, document = _object_in(file)
    if document.get("format") != STATEMENT_FORMAT:
        raise InvalidArgumentError(f"{file} is not a statement in the format {STATEMENT_FORMAT}")
    return content


def read_receipts(file: Path) -> bytes:
    """Return the content of a file with receipts, unverified. Raises InvalidArgumentError for any other."""
    content, document = _object_in(file)
    data = document["data"] if isinstance(document.get("data"), dict) else document
    if "receipts" not in data and not {"leaf", "proof"} <= data.keys():
        raise InvalidArgumentError(
            f"{file} is not a receipt: expected a message of the type kopuro.receipts.issued.v1"
        )
    return content


def read_checkpoint(file: Path) -> bytes:
    """Return the content of a checkpoint file, unverified. Raises InvalidArgumentError for any other file."""
    content = read_bytes(file)
    try:
        Checkpoint.read(SignedNote.parse(content))
    except MalformedError as error:
        raise InvalidArgumentError(f"{file} is not a checkpoint: {error}") from error
    return content


def _object_in(file: Path) -> tuple[bytes, Mapping[str, Any]]:
    """Return the file's content and its JSON object, read more leniently than for a verification."""
    content = read_bytes(file)
    try:
        document = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"{file} is not JSON in UTF-8") from error
    if not isinstance(document, dict):
        raise InvalidArgumentError(f"{file} does not contain a JSON object")
    return content, document
