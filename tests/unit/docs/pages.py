"""The documentation pages and their links, paths and commands."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]

PAGES = sorted(
    {
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        ROOT / "client" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    }
)

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    """Return the page's path from the root, for a test id."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return the page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def shell_lines(page: Path) -> list[str]:
    """Return the lines of its shell blocks, without comments."""
    blocks = [body for language, body in _FENCE.findall(page.read_text(encoding="utf-8")) if language == "sh"]
    return [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]


def inline_code(page: Path) -> list[str]:
    """Return the texts in backticks of its prose."""
    return re.findall(r"`([^`\n]+)`", prose(page))
