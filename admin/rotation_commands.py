"""The command `kopuro admin rotate`: it replaces a hub's keys without an interruption.

Every start of `kopuro` loads this module, so the command imports its implementation only when it runs.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from admin.command_options import Documents

if TYPE_CHECKING:
    from admin.key_rotation import KeyPlaces, Rotated


def register(admin: typer.Typer) -> None:
    """Add the command to `kopuro admin`."""
    admin.command("rotate")(rotate)


class RotatedKey(StrEnum):
    """The keys of `kopuro admin rotate`."""

    custody = "custody"
    token = "token"  # noqa: S105 - the key's name
    log = "log"


def rotate(
    key: Annotated[RotatedKey, typer.Argument(help="The key to replace.")],
    directory: Annotated[Path, typer.Argument(help="The hub's directory: the one that contains `env/`.")],
    retire: Annotated[
        bool, typer.Option("--retire", help="Remove the earlier key, once nothing needs it any more.")
    ] = False,
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="custody: only add the key, for a vault that has a copy of the file."),
    ] = False,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=24 * 30, help="custody: how long the earlier key is admitted.")
    ] = 24,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="token: remove the earlier key now; all tokens become invalid.")
    ] = False,
    as_json: Documents = False,
) -> None:
    """Replace the key of partners' cases, of tokens, or of the log, while the hub runs.

    A rotation adds the new key to the key file, and the service reads the file again by itself. The
    earlier key stays in use beside it. Later, --retire removes it; that is refused while a
    case, a token or a checkpoint still needs it.
    """
    from admin.key_rotation import RotationRefused
    from kopuro_client.commands.exit_codes import ExitCode
    from kopuro_client.commands.output import Output

    _check_options(key, retire=retire, prepare=prepare, overlap_hours=overlap_hours, at_once=at_once)
    out = Output(as_json=as_json)
    overlap = dt.timedelta(hours=overlap_hours)
    try:
        rotated = _run(key, directory, retire=retire, prepare=prepare, overlap=overlap, at_once=at_once)
    except RotationRefused as error:
        out.note(f"kopuro: {error}")
        raise typer.Exit(ExitCode.REFUSED) from None
    if as_json:
        out.document(
            {
                "key": str(rotated.key),
                "changed": [str(file) for file in rotated.changed],
                "reader": rotated.reader,
                "public_key": dict(rotated.public),
            }
        )
        return
    for file in rotated.changed:
        out.text(f"changed {file}")
    for note in _notes(key, rotated, retire=retire, prepare=prepare):
        out.note(note)


def _run(
    key: RotatedKey,
    directory: Path,
    *,
    retire: bool,
    prepare: bool,
    overlap: dt.timedelta,
    at_once: bool,
) -> Rotated:
    from admin import key_rotation as keys
    from admin.private_files import OwnerLock

    places, now = keys.places_in(directory), dt.datetime.now(dt.UTC)
    lock = OwnerLock(directory / ".rotation.lock")
    if not lock.take():
        raise keys.RotationRefused("another rotation is in progress: try again when it has ended")
    try:
        # A step reads files and writes them again: one of two concurrent steps would lose the other's key.
        return _step(places, now, key, retire=retire, prepare=prepare, overlap=overlap, at_once=at_once)
    finally:
        lock.release()


def _step(
    places: KeyPlaces,
    now: dt.datetime,
    key: RotatedKey,
    *,
    retire: bool,
    prepare: bool,
    overlap: dt.timedelta,
    at_once: bool,
) -> Rotated:
    from admin import key_rotation as keys

    match key, retire:
        case RotatedKey.custody, False:
            return keys.rotate_custody(places, now=now, overlap=overlap, announce=not prepare)
        case RotatedKey.custody, True:
            return keys.retire_custody(places, now=now)
        case RotatedKey.token, False:
            return keys.rotate_token(places, at_once=at_once)
        case RotatedKey.token, True:
            return keys.retire_token(places, now=now)
        case RotatedKey.log, False:
            return keys.rotate_log(places)
        case _:
            return keys.retire_log(places)


def _check_options(
    key: RotatedKey, *, retire: bool, prepare: bool, overlap_hours: int, at_once: bool
) -> None:
    if (prepare or overlap_hours != 24) and (key is not RotatedKey.custody or retire):
        raise typer.BadParameter("--prepare and --overlap-hours are for a rotation of the custody key.")
    if at_once and (key is not RotatedKey.token or retire):
        raise typer.BadParameter("--at-once is for a rotation of the token key.")


def _notes(key: RotatedKey, rotated: Rotated, *, retire: bool, prepare: bool) -> list[str]:
    copy = f"if {rotated.reader} has a copy of {rotated.key.name} (a unit's credential, a container's "
    copy += "secret), give it the new file and restart it"
    if retire:
        return [copy]
    match key:
        case RotatedKey.custody if prepare:
            return [copy, "then run the command again without --prepare, which announces the key"]
        case RotatedKey.custody:
            return [
                f"{copy}; until then new cases wait",
                "retire the earlier key after the overlap",
            ]
        case RotatedKey.token:
            return [copy, "retire the earlier key in half an hour"]
        case _:
            return [
                f"{copy}; both keys then sign each checkpoint",
                "send the statement to auditors and witnesses, and retire the earlier key when they have the "
                "new one",
            ]
