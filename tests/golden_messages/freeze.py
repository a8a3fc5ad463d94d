"""Writing of missing golden files: `python -m tests.golden_messages.freeze`.

Existing files are never changed: other systems have stored the bytes of published versions.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.golden_messages.examples import EXAMPLES

FOLDER = Path(__file__).parent


def freeze(folder: Path = FOLDER) -> list[str]:
    """Write the missing golden files; return their types."""
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
    argparse.ArgumentParser(prog="python -m tests.golden_messages.freeze", description=__doc__).parse_args()
    sys.stdout.writelines(f"written: {name}\n" for name in freeze())
