"""The documents in a case, saved as files whose names the sender cannot misuse."""

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

# Added where a name has no suffix; another media type adds nothing that a click would start.
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
    """The case's documents as new files of `directory`, which is made where it is missing.

    Each is named by its number and its own name, and only its owner may read it. Nothing is overwritten: no
    file is written when one of the names is taken. Raises InvalidArgumentError where files cannot be written;
    CaseError, after the others are saved, with a pointer for each document that is not as contracted.
    """
    contents, errors = _contents(case.get("documents"))
    saved = []
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgumentError(f"{directory} cannot be made: {error.strerror}") from error
    with ExitStack() as files:
        for name, content in contents:
            file = directory / name
            files.enter_context(new_file(file))(content)
            saved.append(file)
    if errors:
        raise CaseError(tuple(errors), summary=f"{len(errors)} documents of the case cannot be saved")
    return saved


def file_name(number: int, name: object, media_type: object) -> str:
    """`01-Договор.pdf`: no separator, no control character, no leading dot, at most LONGEST_NAME bytes."""
    text = unicodedata.normalize("NFC", name if isinstance(name, str) else "")
    visible = "".join(char if unicodedata.category(char) not in _CATEGORIES else "_" for char in text)
    kept = _UNSAFE.sub("_", visible).strip(" .")
    stem, dot, suffix = kept.rpartition(".")
    if not dot or not stem or len(suffix) > 10:
        stem, suffix = kept, _SUFFIXES.get(media_type, "") if isinstance(media_type, str) else ""
    else:
        suffix = dot + suffix
    prefix = f"{number:02}-"
    room = LONGEST_NAME - len((prefix + suffix).encode())
    # A number in front also makes no name reserved (`CON`, `NUL`).
    short = stem.encode()[:room].decode(errors="ignore").strip(" .") or "document"
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
            errors.append(FieldError(pointer=f"/documents/{index}/content", detail="Not base64."))
        else:
            name = file_name(index + 1, document.get("name"), document.get("media_type"))
            contents.append((name, decoded))
    return contents, errors


def _listed(documents: object) -> Sequence[Any]:
    return documents if isinstance(documents, list) else []


def rows(documents: object) -> Iterator[tuple[object, ...]]:
    """Name, kind, size in bytes and whatever else each document has, for a table."""
    for document in _listed(documents):
        if not isinstance(document, Mapping):
            yield document, "", "", ""
            continue
        content = document.get("content")
        size = len(content.rstrip("=")) * 3 // 4 if isinstance(content, str) else ""
        known = ("name", "media_type", "content")
        others = {name: value for name, value in document.items() if name not in known}
        yield document.get("name"), document.get("media_type"), size, others
