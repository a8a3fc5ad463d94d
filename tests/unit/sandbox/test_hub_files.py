"""The modes of the files in an embedded hub's data directory."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from admin.manifest_files import HUB_KEY
from sandbox import network
from sandbox.hub_files import HubFiles


@pytest.mark.usefixtures("any_umask")
def test_files_and_folders_of_a_hub_are_private_whatever_the_umask(tmp_path: Path) -> None:
    files = HubFiles(tmp_path / "hub")
    files.settle(network.load().organizations[:2])
    modes = {
        path: stat.S_IMODE(path.stat().st_mode) for path in [files.directory, *files.directory.rglob("*")]
    }
    assert {files.credentials, files.clients, files.manifest, files.key("custody")} < set(modes)
    # Public, and behind a directory that only the owner may enter.
    public = {files.manifest: 0o644, files.manifest.with_name(HUB_KEY): 0o644}
    assert modes == {path: public.get(path, 0o700 if path.is_dir() else 0o600) for path in modes}
