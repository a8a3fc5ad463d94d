"""Writes the golden file of a fact that has none yet: `python -m tests.golden_messages.freeze`.

A file that exists is never touched: the bytes of a published version are what other systems have stored.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.golden_messages.examples import EXAMPLES

FOLDER = Path(__file__).parent


def freeze(folder: Path = FOLDER) -> list[str]:
    """The types whose golden file was missing and has now been written."""
    written = []
    for name, event in EXAMPLES.items():
        try:
            with (folder / f"{name}.json").open("xb") as file:
                file.write(event.encode())
        except FileExistsError:
            continue
        written.append(name)
    return written


if __name__ == "__main__":
    sys.stdout.writelines(f"written: {name}\n" for name in freeze())
