"""The command `kopuro admin init`: a new hub's key files and its manifest."""

import json
import re
import stat
from pathlib import Path

import pytest

from admin import key_files
from admin.key_files import write_key_files
from admin.manifest_files import SERVICES, add_key, manifest_in
from contracts.signatures import SigningKey
from kopuro_client.commands import main
from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.sealing import open_sealed, seal
from runtime.messaging.signatures.identity import HubIdentity
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from runtime.settings import SettingsError
from services.audit.log.adapters.signing_key import load_log_key
from tests.messaging.consumer_harness import METADATA, TABLES, opened

KEYS = {"hub.json", "custody.json", "token.json", "log.json"} | {f"service-{name}.json" for name in SERVICES}
FILES = KEYS | {"hub.public.json", "manifest.jws"}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("any_umask")
def test_key_files_are_private_and_match_their_public_halves(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "keys"
    keys = write_key_files(directory, "kg")
    assert mode(directory) == 0o700
    assert {path.name for path in directory.iterdir()} == FILES
    for key in keys:
        private = json.loads(key.path.read_text(encoding="utf-8"))
        assert mode(key.path) == 0o600
        assert key.public == {name: value for name, value in private.items() if name != "d"}
    assert [(key.service, key.public["crv"]) for key in keys] == [
        ("hub", "Ed25519"),
        ("vault", "X25519"),
        ("directory", "Ed25519"),
        ("audit", "Ed25519"),
        *((name, "Ed25519") for name in SERVICES),
    ]
    assert len({key.public["kid"] for key in keys}) == len(keys)


def test_service_that_has_used_a_manifest_starts_with_another_root_key(
    tmp_path: Path, sqlite_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The steps of docs/operations.md for a root key that is lost or stolen."""
    present, new = tmp_path / "present", tmp_path / "new"
    write_key_files(present, "kg")
    add_key(present, "vault")

    def started(directory: Path) -> None:
        key = SigningKey(json.loads((directory / "service-intake.json").read_text()), STATEMENT_TYPE)
        identity = HubIdentity(service="intake", key=key, manifest=manifest_in(directory))
        identity.remember(database, TABLES.manifests)

    with opened(sqlite_database) as database:
        with database.write() as transaction:
            METADATA.create_all(transaction)
        started(present)
        capsys.readouterr()
        assert main(["admin", "manifest", "show", str(present)]) == ExitCode.OK
        version = json.loads(capsys.readouterr().out)["version"] + 1
        arguments = ["admin", "init", str(new), "--hub", "kg", "--manifest-version", str(version)]
        assert main(arguments) == ExitCode.OK
        started(new)
        write_key_files(tmp_path / "first", "kg")
        with pytest.raises(SettingsError, match="has version 1, and intake has used version 3"):
            started(tmp_path / "first")


@pytest.mark.parametrize("name", sorted(FILES))
def test_existing_key_file_is_kept_and_no_other_is_written(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / name).write_text("existing", encoding="ascii")
    with pytest.raises(InvalidArgumentError, match=re.escape(name)):
        write_key_files(tmp_path, "kg")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="ascii") == "existing"


def test_dangling_link_counts_as_an_existing_key_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "log.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidArgumentError, match=r"log\.json"):
        write_key_files(tmp_path, "kg")
    assert not (tmp_path / "elsewhere").exists()


def test_failed_write_leaves_no_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)

    def write_two(path: Path, content: bytes) -> None:
        if path.name == "log.json":
            raise InvalidArgumentError("No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr(key_files, "write_new", write_two)
    with pytest.raises(InvalidArgumentError, match="No space"):
        write_key_files(tmp_path, "kg")
    assert list(tmp_path.iterdir()) == []


def test_failed_manifest_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)

    def write_half(directory: Path, hub: str, *, version: int) -> None:
        (directory / "hub.public.json").write_text(hub)
        raise OSError("No space left on device")

    monkeypatch.setattr(key_files, "write_first_manifest", write_half)
    with pytest.raises(OSError, match="No space"):
        write_key_files(tmp_path, "kg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o750, 0o704, 0o702, 0o755])
def test_directory_that_others_can_list_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(InvalidArgumentError, match="chmod 700"):
        write_key_files(tmp_path, "kg")
    assert list(tmp_path.iterdir()) == []


def test_init_prints_variables_and_public_keys_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "the keys"
    assert main(["admin", "init", str(directory), "--hub", "kg"]) == ExitCode.OK
    out = capsys.readouterr().out
    for variable, file in (
        ("KOPURO_CUSTODY_KEY", "custody.json"),
        ("KOPURO_SERVICE_KEY", "service-intake.json"),
        ("KOPURO_MANIFEST", "manifest.jws"),
        ("KOPURO_HUB_KEY", "hub.public.json"),
    ):
        assert f"{variable}='{directory}/{file}'\n" in out
    for name in KEYS:
        private = json.loads((directory / name).read_text(encoding="utf-8"))
        assert private["x"] in out
        assert private["d"] not in out

    assert main(["admin", "init", str(directory), "--hub", "kg"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert "already contains hub.json, custody.json, token.json, log.json" in err


def test_init_refuses_a_hub_that_is_not_a_country_code(tmp_path: Path) -> None:
    assert main(["admin", "init", str(tmp_path / "keys"), "--hub", "KG"]) == ExitCode.USAGE
    assert not (tmp_path / "keys").exists()


def test_init_with_json_names_files_that_the_services_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["admin", "init", str(tmp_path / "keys"), "--hub", "kg", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    keys = {key["variable"]: key for key in document["keys"] if key["variable"] != "KOPURO_SERVICE_KEY"}
    log_key = load_log_key(Path(keys["KOPURO_LOG_SIGNING_KEY"]["file"]), "kg")
    assert log_key.signer.name == "kopuro/kg"
    custody = json.loads(Path(keys["KOPURO_CUSTODY_KEY"]["file"]).read_text(encoding="utf-8"))
    sealed = seal({"name": "x"}, keys["KOPURO_CUSTODY_KEY"]["public_key"])
    assert open_sealed(sealed, custody) == {"name": "x"}
    assert set(document["every_service"]) == {"KOPURO_MANIFEST", "KOPURO_HUB_KEY"}
