from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.vault.adapters.announced_key import AnnouncedKeyWatch


def test_announced_key_of_another_pair_is_a_warning_until_it_is_the_vaults(tmp_path: Path) -> None:
    file = tmp_path / "discovery.json"
    file.write_text(json.dumps({"custody_key": {"kid": "new"}}))
    alarm = AnnouncedKeyWatch(file, {"old"}.__contains__).alarm()
    assert alarm is not None
    assert "announces the custody key new, which is not in" in alarm
    file.write_text(json.dumps({"custody_key": {"kid": "old"}}))
    assert AnnouncedKeyWatch(file, {"old"}.__contains__).alarm() is None


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"custody_key": null}'])
def test_missing_custody_key_raises_no_alarm_of_the_vault(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "discovery.json"
    if text is not None:
        file.write_text(text)
    assert AnnouncedKeyWatch(file, {"old"}.__contains__).alarm() is None
