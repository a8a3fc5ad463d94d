"""The dashboards' files in deploy/grafana."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from docs.dashboards.network import NETWORK
from docs.dashboards.routing import ROUTING
from docs.dashboards.service import SERVICE

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
DASHBOARDS: Final = (NETWORK, ROUTING, SERVICE)


def texts() -> Mapping[Path, str]:
    """Return the text of each file."""
    return {FOLDER / f"{one.name}.json": one.text() for one in DASHBOARDS}


def differing() -> list[Path]:
    """Return the files that differ from the code, are missing, or belong to no dashboard."""
    wanted = texts()
    present = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    return sorted(path for path in wanted.keys() | present if wanted.get(path) != present.get(path))


def write() -> None:
    """Write the files that differ, and delete those of no dashboard."""
    wanted = texts()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in differing():
        if path in wanted:
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
