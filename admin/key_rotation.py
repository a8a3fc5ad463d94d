"""Replacement of the keys of a hub of processes: the custody key, the token key and the log key.

A key file holds a JWK set, the present key first; the services read it again by themselves. A rotation adds a
key to the file, and the earlier one stays until `retire` removes it, when nothing needs it any more. So no
case, token or checkpoint is refused in between. Files keep their modes and owners.

A repeated run after an interruption continues: a key that was added and not announced yet is announced.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from admin.environment_files import read_environment
from admin.keys import public_half, sealing_key, signing_key
from admin.log_key_change import signed_change, signs_published_log
from admin.private_files import replace_content, write_public
from admin.sealed_to import sealed_to_earlier_keys
from kopuro_client.errors import InvalidArgumentError
from runtime.access.signer import LIFETIME_SECONDS
from runtime.access.tokens import LEEWAY_SECONDS
from runtime.private_keys import private_keys

# How long partners may still seal to the earlier custody key.
OVERLAP: Final = dt.timedelta(hours=24)
# Requests that intake admitted at the last moment have reached its outbox.
ADMISSION_ENDS: Final = dt.timedelta(seconds=60)
# Tokens of the earlier key have expired everywhere; the directory uses a new key a moment after it is added.
TOKENS_EXPIRE: Final = dt.timedelta(seconds=LIFETIME_SECONDS + LEEWAY_SECONDS + 60)
CHANGE_FILE: Final = "log-key-change.txt"


class RotationRefused(Exception):
    """Raised when a step would lose something; the text says what to do first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotated:
    """key: the key file. changed: the files that were changed. public: the present public key.

    reader: the service that reads the key file.
    """

    key: Path
    changed: tuple[Path, ...]
    reader: str
    public: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPlaces:
    """The files of a hub's keys. discovery: the document that announces the custody key.

    environments: by service, for the databases and the broker that are looked at before a key is removed.
    """

    custody: Path
    token: Path
    log: Path
    discovery: Path
    published_log: Path
    hub: str
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def places_in(directory: Path) -> KeyPlaces:
    """Return the places that the environment files in a hub's directory name. Raises InvalidArgumentError."""
    env = {
        service: read_environment(directory.resolve() / "env" / f"{service}.env")
        for service in ("intake", "vault", "directory", "audit")
    }

    def named(service: str, variable: str) -> Path:
        value = env[service].get(variable, "")
        if not Path(value).exists() or not value:
            raise InvalidArgumentError(f"{variable} in env/{service}.env does not name a file")
        return Path(value)

    return KeyPlaces(
        custody=named("vault", "KOPURO_CUSTODY_KEY"),
        token=named("directory", "KOPURO_TOKEN_SIGNING_KEY"),
        log=named("audit", "KOPURO_LOG_SIGNING_KEY"),
        discovery=named("intake", "KOPURO_DISCOVERY"),
        published_log=Path(env["audit"].get("KOPURO_LOG_DIRECTORY", "")),
        hub=env["audit"].get("KOPURO_HUB", ""),
        environments=env,
    )


def rotate_custody(
    places: KeyPlaces, *, now: dt.datetime, overlap: dt.timedelta = OVERLAP, announce: bool = True
) -> Rotated:
    """Replace the key to which partners seal cases, and announce it in discovery.json.

    overlap: how long cases that are sealed to the earlier key are admitted. announce: False only adds the key
    to the vault's file, for a vault that has a copy of it. Raises InvalidArgumentError.
    """
    keys, document = _keys(places.custody), _json(places.discovery)
    announced = document.get("custody_key", {}).get("kid")
    changed: tuple[Path, ...] = ()
    if _kid(keys[0]) == announced:
        keys = (sealing_key(), *keys)
        _write(places.custody, keys)
        changed = (places.custody,)
    public = public_half(keys[0])
    if announce:
        earlier = [
            one
            for one in document.get("earlier_custody_keys", ())
            if _moment(one["accepted_until"]) + ADMISSION_ENDS > now
        ]
        if announced not in (None, _kid(keys[0])):
            # Without an overlap too: `retire_custody` counts from then.
            earlier.append({"kid": announced, "accepted_until": (now + overlap).isoformat()})
        _announce(places.discovery, {**document, "custody_key": public, "earlier_custody_keys": earlier})
        changed = (*changed, places.discovery)
    return Rotated(key=places.custody, changed=changed, reader="vault", public=public)


def retire_custody(places: KeyPlaces, *, now: dt.datetime) -> Rotated:
    """Remove the earlier custody keys from the vault's file.

    Raises RotationRefused while cases may still be sealed to them, or while such a case is in intake, at the
    broker or in the vault; InvalidArgumentError.
    """
    keys, document = _keys(places.custody), _json(places.discovery)
    announced = document.get("custody_key", {}).get("kid")
    present = [key for key in keys if _kid(key) == announced]
    if not present:
        raise RotationRefused(f"{places.discovery} announces a key that {places.custody} does not have")
    if _kid(keys[0]) != announced:
        raise RotationRefused("a new custody key is not announced yet: finish the rotation first")
    for earlier in document.get("earlier_custody_keys", ()):
        if (ended := _moment(earlier["accepted_until"]) + ADMISSION_ENDS) > now:
            raise RotationRefused(
                f"cases that are sealed to the key {earlier['kid']} are admitted until "
                f"{earlier['accepted_until']}: try again at {ended.isoformat()}"
            )
    found = sealed_to_earlier_keys(places.environments, {_kid(key) for key in keys} - {announced})
    if found:
        raise RotationRefused(
            f"cases may still be sealed to an earlier custody key: {found}. Wait until the referrals are "
            "closed and the queue is empty, replay or discard the dead letters, and try again"
        )
    _write(places.custody, present)
    document.pop("earlier_custody_keys", None)
    _announce(places.discovery, document)
    return Rotated(
        key=places.custody,
        changed=(places.custody, places.discovery),
        reader="vault",
        public=public_half(present[0]),
    )


def rotate_token(places: KeyPlaces, *, at_once: bool = False) -> Rotated:
    """Add a key for access tokens. The directory announces it and signs with it ten seconds later.

    at_once: remove the earlier keys now, because one was stolen: all tokens become invalid.
    Raises RotationRefused while an earlier key is still in the file; InvalidArgumentError.
    """
    keys = _keys(places.token)
    if at_once:
        return _written(places.token, [signing_key()], "directory")
    if len(keys) > 1:
        raise RotationRefused("the file still has an earlier token key: retire it first (--retire)")
    return _written(places.token, [signing_key(), *keys], "directory")


def retire_token(places: KeyPlaces, *, now: dt.datetime) -> Rotated:
    """Remove the earlier keys for access tokens. Raises RotationRefused before its tokens have expired."""
    keys = _keys(places.token)
    changed_at = dt.datetime.fromtimestamp(places.token.stat().st_mtime, dt.UTC)
    if len(keys) > 1 and now < changed_at + TOKENS_EXPIRE:
        raise RotationRefused(
            f"tokens of the earlier key are valid until {(changed_at + TOKENS_EXPIRE).isoformat()}: try "
            "again then"
        )
    return _written(places.token, keys[:1], "directory")


def rotate_log(places: KeyPlaces) -> Rotated:
    """Add a key that signs the log's checkpoints beside the earlier one, and write a statement of both.

    Raises RotationRefused while two keys sign; InvalidArgumentError.
    """
    keys = _keys(places.log)
    if len(keys) > 1:
        raise RotationRefused("two keys sign the log already: retire the earlier one first (--retire)")
    new = signing_key()
    statement = places.log.with_name(CHANGE_FILE)
    write_public(statement, signed_change(places.hub, earlier=keys[0], new=new).decode())
    rotated = _written(places.log, [new, *keys], "audit")
    return Rotated(
        key=rotated.key, changed=(*rotated.changed, statement), reader="audit", public=rotated.public
    )


def retire_log(places: KeyPlaces) -> Rotated:
    """Remove the earlier keys of the log.

    Raises RotationRefused until the present one signed what is published.
    """
    keys = _keys(places.log)
    if len(keys) > 1 and not signs_published_log(places.hub, keys[0], places.published_log):
        raise RotationRefused(
            "the new key has not signed the published checkpoints yet: wait for an entry and its "
            "witnesses; restart audit if it has a copy of the file"
        )
    return _written(places.log, keys[:1], "audit")


def _written(file: Path, keys: Any, reader: str) -> Rotated:
    _write(file, keys)
    return Rotated(key=file, changed=(file,), reader=reader, public=public_half(keys[0]))


def _keys(file: Path) -> tuple[dict[str, Any], ...]:
    try:
        return private_keys(file)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"{file} cannot be used: {error}") from None


def _write(file: Path, keys: Any) -> None:
    replace_content(file, json.dumps({"keys": list(keys)}) + "\n")


def _announce(file: Path, document: Mapping[str, Any]) -> None:
    replace_content(file, json.dumps(document, indent=2) + "\n")


def _kid(key: Mapping[str, Any]) -> str:
    return str(key.get("kid", ""))


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _json(file: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InvalidArgumentError(f"{file} is missing or is not JSON") from None
    return document
