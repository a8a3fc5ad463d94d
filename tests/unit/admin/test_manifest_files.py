"""The commands that change a hub's manifest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from admin import manifest_files
from admin.key_files import write_key_files
from admin.manifest_files import add_key, current_key_file, manifest_in, remove_key, set_users
from contracts.manifest import MOST_KEYS
from contracts.signatures import SigningKey
from kopuro_client.commands import main
from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.errors import InvalidArgumentError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_key_files(tmp_path / "keys", "kg")
    return tmp_path / "keys"


def test_first_manifest_lists_the_services_keys(directory: Path) -> None:
    manifest = manifest_in(directory)
    assert (manifest.hub, manifest.version) == ("kg", 1)
    for name, identity in manifest.services.items():
        private = json.loads((directory / f"service-{name}.json").read_text())
        assert [key.kid for key in identity.keys] == [private["kid"]]


@pytest.mark.usefixtures("any_umask")
def test_key_rotation_lists_both_keys_then_the_new_one(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> Any:
        assert main(["admin", "manifest", *arguments]) == ExitCode.OK
        return json.loads(capsys.readouterr().out)

    (first,) = manifest_in(directory).services["intake"].keys
    added = run("add-key", str(directory), "intake")
    new, old = (key["kid"] for key in added["services"]["intake"]["keys"])
    assert (added["version"], old) == (2, first.kid)
    path = directory / "service-intake-2.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey(json.loads(path.read_text()), "any").kid == new
    removed = run("remove-key", str(directory), "intake", old)
    assert [key["kid"] for key in removed["services"]["intake"]["keys"]] == [new]
    assert run("show", str(directory)) == removed
    assert removed["version"] == 3


@pytest.mark.parametrize("kid", ["-4UhA7xu4deoprGfC5X3IFPeLVwow2ViXJWfCTXrn40", "--hA7xu4deo"])
def test_thumbprint_that_begins_with_a_hyphen_is_not_an_option(
    directory: Path, kid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["admin", "manifest", "remove-key", str(directory), "intake", kid]) == ExitCode.USAGE
    assert f"the manifest lists no key {kid}" in capsys.readouterr().err


def test_current_key_file_follows_the_rotation(directory: Path) -> None:
    first = directory / "service-intake.json"
    assert current_key_file(directory, "intake") == first
    old = manifest_in(directory).services["intake"].keys[0].kid
    _, second = add_key(directory, "intake")
    assert current_key_file(directory, "intake") == second
    remove_key(directory, "intake", old)
    assert current_key_file(directory, "intake") == second
    assert current_key_file(directory, "routing") == directory / "service-routing.json"
    _, third = add_key(directory, "intake")
    third.write_text("not a key")
    assert current_key_file(directory, "intake") == second
    second.unlink()
    with pytest.raises(InvalidArgumentError, match="no file with a key"):
        current_key_file(directory, "intake")


def test_user_change_raises_the_version_once(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["admin", "manifest", "set-user", str(directory), "operations", "ops"]) == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["services"]["operations"]["user"]) == (2, "ops")
    assert set_users(directory, {"operations": "ops", "intake": "kg.intake"}).version == 2
    assert set_users(directory, {"vault": "kopuro-vault"}).services["vault"].user == "kopuro-vault"


def test_key_that_was_removed_too_early_is_listed_again(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = manifest_in(directory).services["routing"].keys
    _, second = add_key(directory, "routing")
    remove_key(directory, "routing", first.kid)
    capsys.readouterr()
    arguments = ["admin", "manifest", "add-key", str(directory), "routing", "--key"]
    assert main([*arguments, str(directory / "service-routing.json")]) == ExitCode.OK
    said = capsys.readouterr()
    kids = [key["kid"] for key in json.loads(said.out)["services"]["routing"]["keys"]]
    assert kids == [json.loads(second.read_text())["kid"], first.kid], "the key in use stays the first"
    assert f"listed {first.kid}" in said.err
    for file, reason in (
        ("service-routing.json", f"lists the key {first.kid} already, for routing"),
        ("service-vault.json", "already, for vault"),
        ("manifest.jws", "does not contain the private signing key"),
    ):
        assert main([*arguments, str(directory / file)]) == ExitCode.USAGE
        assert reason in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hub", "contains the key of"),
        ("log", "contains the key of"),
        ("token", "contains the key of"),
        ("hub.public", "does not contain the private signing key"),
        ("missing", "does not exist"),
    ],
)
def test_key_of_another_purpose_is_not_listed_for_a_service(
    directory: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    """Audit has the log's key, and could sign as the service."""
    file = directory.parent / f"{name}.json"
    if name != "missing":
        file.write_bytes((directory / f"{name}.json").read_bytes())
    arguments = ["admin", "manifest", "add-key", str(directory), "intake", "--key", str(file)]
    assert main(arguments) == ExitCode.USAGE
    assert reason in " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().err).split())
    assert manifest_in(directory).version == 1


def test_added_key_and_the_earlier_one_are_named(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (first,) = manifest_in(directory).services["intake"].keys
    assert main(["admin", "manifest", "add-key", str(directory), "intake"]) == ExitCode.OK
    new = manifest_in(directory).services["intake"].keys[0]
    assert f"the new key of intake is {new.kid}; earlier: {first.kid}\n" in capsys.readouterr().err


def test_each_earlier_version_of_the_manifest_is_kept(directory: Path) -> None:
    earlier = (directory / "manifest.jws").read_bytes()
    add_key(directory, "intake")
    second = (directory / "manifest.jws").read_bytes()
    set_users(directory, {"vault": "v"})
    assert (directory / "manifest-1.jws").read_bytes() == earlier
    assert (directory / "manifest-2.jws").read_bytes() == second
    assert (directory / "manifest-1.jws").stat().st_mode & 0o777 == 0o644


def test_directory_without_a_manifest_is_named_with_the_right_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["admin", "manifest", "show", str(tmp_path)]) == ExitCode.USAGE
    said = " ".join(capsys.readouterr().err.split())
    assert "there is no " in said
    assert "of a hub that `kopuro up` started it is `keys` in its data directory" in said


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("add-key", "nobody"), "no service"),
        (("remove-key", "intake", "unknown"), "lists no key"),
        (("set-user", "nobody", "x"), "no service"),
    ],
)
def test_impossible_change_is_refused_and_writes_nothing(
    directory: Path, arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in directory.iterdir()}
    name, *rest = arguments
    assert main(["admin", "manifest", name, str(directory), *rest]) == ExitCode.USAGE
    assert text in capsys.readouterr().err
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_key_beyond_the_limit_is_refused_and_writes_nothing(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    while len(manifest_in(directory).services["intake"].keys) < MOST_KEYS:
        add_key(directory, "intake")
    before = {path: path.read_bytes() for path in directory.iterdir()}
    assert main(["admin", "manifest", "add-key", str(directory), "intake"]) == ExitCode.USAGE
    assert "has 4 keys already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_interrupted_addition_of_a_key_is_completed_by_the_next(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(manifest_files, "_next", Interrupt())
        with pytest.raises(KeyboardInterrupt):
            add_key(directory, "intake")
    (written,) = directory.glob("service-intake-*.json")
    manifest, path = add_key(directory, "intake")
    assert path == written
    assert manifest.services["intake"].keys[0].kid == json.loads(path.read_text())["kid"]


class Interrupt:
    """Interrupts its caller."""

    def __call__(self, *_: object) -> None:
        raise KeyboardInterrupt


def test_only_key_of_a_service_cannot_be_removed(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (only,) = manifest_in(directory).services["vault"].keys
    assert main(["admin", "manifest", "remove-key", str(directory), "vault", only.kid]) == ExitCode.USAGE
    assert "is the only key of vault" in capsys.readouterr().err


def test_root_key_of_another_hub_signs_nothing(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (directory / "manifest.jws").read_text()
    (directory / "hub.json").write_bytes((directory / "token.json").read_bytes())
    assert main(["admin", "manifest", "set-user", str(directory), "vault", "v"]) == ExitCode.USAGE
    assert "not the private half" in capsys.readouterr().err
    assert (directory / "manifest.jws").read_text() == before
