from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from contracts.errors import Unavailable
from services.intake.adapters.custody import AnnouncedCustodyKey


def announce(file: Path, kid: str, *, at: int) -> None:
    file.write_text(json.dumps({"hub": "kg", "custody_key": {"kid": kid}}))
    os.utime(file, ns=(at, at))


def test_replaced_discovery_document_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "discovery.json"
    announce(file, "first", at=1)
    custody_kid = AnnouncedCustodyKey(file)
    assert custody_kid() == "first"
    announce(file, "second", at=2)
    assert custody_kid() == "second"


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"custody_key": null}'])
def test_custody_key_not_announced_is_unavailable(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "discovery.json"
    if text is not None:
        file.write_text(text)
    custody_kid = AnnouncedCustodyKey(file)
    with pytest.raises(Unavailable):
        custody_kid()
    assert custody_kid.unready() == "The hub has not announced its custody key yet."
    announce(file, "first", at=1)
    assert custody_kid.unready() is None
