from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from contracts.errors import Unavailable
from runtime.web.discovery import discovery


def test_discovery_serves_the_current_document(tmp_path: Path) -> None:
    file = tmp_path / "discovery.json"
    with pytest.raises(Unavailable):
        discovery(file)
    file.write_text('{"hub": "kg"')  # the file is being written in place
    with pytest.raises(Unavailable):
        discovery(file)
    for hub in ("kg", "ru"):
        file.write_text(f'{{"hub": "{hub}"}}')
        assert orjson.loads(discovery(file).body) == {"hub": hub}
