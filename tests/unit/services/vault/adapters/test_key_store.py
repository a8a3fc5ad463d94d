from __future__ import annotations

import stat
from pathlib import Path

import pytest

from services.vault.adapters.key_store import SqliteKeyStore


@pytest.mark.usefixtures("any_umask")
@pytest.mark.parametrize("exists", [False, True])
def test_file_of_keys_is_private_whether_or_not_it_exists(tmp_path: Path, exists: bool) -> None:
    file = tmp_path / "keys.sqlite"
    if exists:
        file.touch(mode=0o644)
    store = SqliteKeyStore(file)
    try:
        assert store.is_new is not exists
        assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}
    finally:
        store.close()
