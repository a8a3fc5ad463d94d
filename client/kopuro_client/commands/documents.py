"""The documents in a case, saved under file names that are safe whatever the sender chose."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from kopuro_client.commands.new_file import new_file
from kopuro_client.errors import CaseError, FieldError, InvalidArgumentError

LONGEST_NAME: Final = 120  # bytes of UTF-8, with the number; file systems take 255, archives less

# Added to a name without a suffix. Other media types add none, so that a click starts no program.
_SUFFIXES: Final[Mapping[str, str]] = {
    "application/pdf": ".pdf",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "text/plain": ".txt",
}
# Letters and digits of any script, with their marks; `_` for everything else.
_UNSAFE: Final = re.compile(r"[^\w.,() -]+")
_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def save_documents(case: Mapping[str, Any], directory: Path) -> list[Path]:
    """Save the case's documents as new files in `directory`, and return their paths.

    Creates the directory if needed. A file's name is the document's number and name; only its owner may read
    it. Existing files are never overwritten: if one of the names is taken, no file is written. Raises
    InvalidArgumentError if the files cannot be written. Raises CaseError, after saving the others, with a
    pointer for each document that violates the contract.
    """
    contents, errors = _contents(case.get("documents"))
    saved = []
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgumentError(f"cannot create {directory}: {error.strerror}") from error
    with ExitStack() as files:
        for name, content in contents:
            file = directory / name
            files.enter_context(new_file(file))(content)
            saved.append(file)
    if errors:
        raise CaseError(tuple(errors), summary=f"cannot save {len(errors)} of the case's documents")
    return saved


def file_name(number: int, name: object, media_type: object) -> str:
    """Return a safe name such as `01-Договор.pdf`.

    It has no separator, no control character and no leading dot, and at most LONGEST_NAME bytes.
    """
    text = unicodedata.normalize("NFC", name if isinstance(name, str) else "")
    visible = "".join(char if unicodedata.category(char) not in _CATEGORIES else "_" for char in text)
    kept = _UNSAFE.sub("_", visible).strip(" .")
    stem, dot, suffix = kept.rpartition(".")
    if not dot or not stem or len(suffix) > 10:
        stem, suffix = kept, _SUFFIXES.get(media_type, "") if isinstance(media_type, str) else ""
    else:
        suffix = dot + suffix
    prefix = f"{number:02}-"
    longest = LONGEST_NAME - len((prefix + suffix).encode())
    # The leading number also avoids reserved names (`CON`, `NUL`).
    short = stem.encode()[:longest].decode(errors="ignore").strip(" .") or "document"
    return prefix + short + suffix


def _contents(documents: object) -> tuple[list[tuple[str, bytes]], list[FieldError]]:
    contents, errors = [], []
    for index, document in enumerate(_listed(documents)):
        content = document.get("content") if isinstance(document, Mapping) else None
        try:
            decoded = base64.b64decode(content, validate=True) if isinstance(content, str) else None
        except ValueError:
            decoded = None
        if decoded is None:
            errors.append(FieldError(pointer=f"/documents/{index}/content", detail="Must be base64."))
        else:
            name = file_name(index + 1, document.get("name"), document.get("media_type"))
            contents.append((name, decoded))
    return contents, errors


def _listed(documents: object) -> Sequence[Any]:
    return documents if isinstance(documents, list) else []


def rows(documents: object) -> Iterator[tuple[object, ...]]:
    """Yield a table row for each document: name, media type, size in bytes, other members."""
    for document in _listed(documents):
        if not isinstance(document, Mapping):
            yield document, "", "", ""
            continue
        content = document.get("content")
        size = len(content.rstrip("=")) * 3 // 4 if isinstance(content, str) else ""
        known = ("name", "media_type", "content")
        others = {name: value for name, value in document.items() if name not in known}
        yield document.get("name"), document.get("media_type"), size, others
