from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime.storage.space import is_low_space, low_space


def test_warning_of_low_space_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=100, f_frsize=2**20))
    warning = low_space(Path("/srv/kopuro/audit.sqlite"))
    assert warning == "only 100 MiB free beside audit.sqlite, less than 256 MiB"
    assert is_low_space(warning)
    assert not is_low_space("only 100 dead letters")
