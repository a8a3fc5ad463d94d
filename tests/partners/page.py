"""A page of the documentation whose code blocks a reader runs from top to bottom, in one shell.

Blocks in `sh` are commands. Any other block is a file, whose name the paragraph before it ends with, as in
"Save as `hub.mjs`:". A block in `text` is shown and not run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FENCE: Final = re.compile(r"```(\w*)")
_NAME: Final = re.compile(r"`([\w.-]+\.\w+)`:$")
_PLACEHOLDER: Final = re.compile(r"export ([A-Z_]+)=.*?(  +#.*)?")
_INSTALL: Final = re.compile(r"(?:npm|pip) install (.+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block. heading: of its section. before: the line before it. line: of its first line."""

    language: str
    text: str
    heading: str
    before: str
    line: int

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, None for commands."""
        if self.language == "sh":
            return None
        named = _NAME.search(self.before)
        assert named is not None, f"line {self.line}: no file is named before this block"
        return named[1]


def blocks_of(page: Path) -> Iterator[Block]:
    """Return the blocks of a page that are run, in order."""
    heading = before = language = ""
    lines: list[str] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.fullmatch(line)
        if fence is not None and lines is None:
            lines, language = [], fence[1]
        elif fence is not None:
            text = "".join(f"{one}\n" for one in lines or ())
            if language != "text":
                yield Block(
                    language=language,
                    text=text,
                    heading=heading,
                    before=before,
                    line=number - text.count("\n"),
                )
            lines = None
        elif lines is not None:
            lines.append(line)
        elif line:
            before = line
            heading = line.lstrip("# ") if line.startswith("#") else heading


def prepared(
    page: Path,
    directory: Path,
    *,
    given: Mapping[str, str],
    installed: Callable[[str], bool],
    skipped: Collection[str] = (),
) -> str:
    """Write the files of a page into a directory; return its commands as one script for bash.

    given: the variables for which the page shows placeholders; the runner sets them. installed: whether a
    package that the page installs is there. skipped: headings of sections whose commands the reader skips.
    The script names the line of a block that fails. Raises KeyError if the page lacks a skipped section.
    """
    script = ["set -euo pipefail", "trap 'echo \"the block at line $LINE of the page has failed\" >&2' ERR"]
    unmet = set(skipped)
    for block in blocks_of(page):
        unmet.discard(block.heading)
        if block.file is not None:
            (directory / block.file).write_text(block.text, encoding="utf-8")
            continue
        if block.heading in skipped:
            continue
        script.append(f"LINE={block.line}")
        for line in block.text.splitlines():
            if (placeholder := _PLACEHOLDER.fullmatch(line)) and placeholder[1] in given:
                continue
            if install := _INSTALL.fullmatch(line):
                missing = [name for name in install[1].split() if not installed(name)]
                assert not missing, f"the tests lack {missing}"
                continue
            script.append(line)
    if unmet:
        raise KeyError(f"{page.name} has no section {', '.join(sorted(unmet))}")
    return "\n".join(script) + "\n"
