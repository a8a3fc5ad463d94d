from pathlib import Path

import pytest

from kopuro_client import InvalidArgumentError
from kopuro_client.tlog import Memory, TlogError, TrustPolicy
from tests.unit.client.tlog.log_writer import LOG, ORIGIN, Log, entries, policy_text

POLICY = TrustPolicy.parse(policy_text())


@pytest.mark.usefixtures("any_umask")
def test_verified_checkpoint_is_remembered(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "not" / "there yet")
    assert memory.recall(ORIGIN) is None
    for size in (3, 5):
        accepted = POLICY.accept(Log(entries(size)).note())
        memory.keep(accepted.checkpoint, accepted.log)
        remembered = memory.recall(ORIGIN)
        assert remembered is not None
        assert (remembered.checkpoint.size, str(remembered.log_key)) == (size, LOG.vkey)
    assert memory.recall("kopuro/other") is None
    assert [file.name for file in memory.file(ORIGIN).parent.iterdir()] == [memory.file(ORIGIN).name]
    assert memory.file(ORIGIN).stat().st_mode & 0o077 == 0
    assert memory.file(ORIGIN).parent.stat().st_mode & 0o777 == 0o700


def test_memory_file_with_any_changed_bit_is_refused(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    accepted = POLICY.accept(Log(entries(3)).note())
    memory.keep(accepted.checkpoint, accepted.log)
    file = memory.file(ORIGIN)
    content = file.read_bytes()
    for bit in range(0, len(content) * 8, 5):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        with pytest.raises((TlogError, InvalidArgumentError)):
            memory.recall(ORIGIN)


def test_memory_directory_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = Memory.at_home({}).file(ORIGIN)
    assert at_home.parent == tmp_path / ".local/state/kopuro/logs"
    assert Memory.at_home({"XDG_STATE_HOME": "/var/x"}).file(ORIGIN).parent == Path("/var/x/kopuro/logs")
    assert (
        Memory.at_home({"XDG_STATE_HOME": "relative"}).file(ORIGIN) == at_home
    )  # XDG: ignore relative paths


def test_unwritable_memory_raises_invalid_argument_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    accepted = POLICY.accept(Log(entries(3)).note())
    with pytest.raises(InvalidArgumentError):
        Memory(tmp_path / "file").keep(accepted.checkpoint, accepted.log)
