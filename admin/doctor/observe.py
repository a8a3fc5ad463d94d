"""Observes a hub of processes from its environment files, for `kopuro admin doctor`.

It only reads, logs in as each service, and asks each service's `/readyz`. A failed observation is a fact too.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509

from admin.doctor.observations import (
    ENVIRONMENT,
    Announced,
    Certificate,
    Exported,
    FileKind,
    FileState,
    Machine,
    Observations,
    ServiceKeys,
    ServiceSettings,
    Space,
)
from admin.doctor.observe_clock import observed_clock
from admin.doctor.observe_keys import unusable_files
from admin.doctor.observe_servers import broker_login, database_state, log_state, readiness, tls_servers
from admin.environment_files import read_environments, read_resolved
from contracts.broker_rights import GATEWAY, USERS, WATCH, Rights, rights_of, user_name
from contracts.manifest import read_manifest
from contracts.records import Malformed
from contracts.signatures import SigningKey, UnusableSigningKey, VerificationKey
from contracts.topology import OPERATIONS
from kopuro_client.errors import InvalidArgumentError
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from runtime.private_keys import private_keys
from runtime.settings import Settings, SettingsError
from runtime.storage.space import free_bytes
from runtime.variable_names import PREFIX, VARIABLES, nearest

_FILES: Final[Mapping[str, FileKind]] = {
    "KOPURO_SERVICE_KEY": FileKind.private,
    "KOPURO_CUSTODY_KEY": FileKind.private,
    "KOPURO_TOKEN_SIGNING_KEY": FileKind.private,
    "KOPURO_LOG_SIGNING_KEY": FileKind.private,
    "KOPURO_VAULT_KEYS": FileKind.private,
    "KOPURO_WEBHOOK_KEY": FileKind.private,
    "KOPURO_GATEWAY_KEY": FileKind.private,
    "KOPURO_BROKER_CERTIFICATE_KEY": FileKind.private,
    "KOPURO_DATABASE_CERTIFICATE_KEY": FileKind.private,
    "KOPURO_MANIFEST": FileKind.public,
    "KOPURO_HUB_KEY": FileKind.public,
    "KOPURO_DISCOVERY": FileKind.public,
    "KOPURO_BROKER_CA": FileKind.public,
    "KOPURO_BROKER_CERTIFICATE": FileKind.public,
    "KOPURO_DATABASE_CA": FileKind.public,
    "KOPURO_DATABASE_CERTIFICATE": FileKind.public,
    "KOPURO_POLICY": FileKind.public,
    "KOPURO_WITNESS_POLICY": FileKind.public,
}
# The vault and delivery make them at their first start.
_MADE_BY_SERVICE: Final = frozenset({"KOPURO_VAULT_KEYS", "KOPURO_WEBHOOK_KEY"})
# Variables that only this service requires (its bootstrap.py).
_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "directory": ("KOPURO_TOKEN_SIGNING_KEY",),
    "vault": ("KOPURO_CUSTODY_KEY", "KOPURO_VAULT_KEYS"),
    "audit": ("KOPURO_LOG_SIGNING_KEY", "KOPURO_LOG_DIRECTORY"),
    GATEWAY: ("KOPURO_GATEWAY_KEY", "KOPURO_BROKER_MANAGEMENT_URI", "KOPURO_DISCOVERY"),
}
_CERTIFICATES: Final = (
    "KOPURO_BROKER_CA",
    "KOPURO_BROKER_CERTIFICATE",
    "KOPURO_DATABASE_CA",
    "KOPURO_DATABASE_CERTIFICATE",
)


def observe(
    env_dir: Path, *, definitions: Path | None, now: dt.datetime, is_embedded: bool = False
) -> Observations:
    """Return what is seen of the hub. definitions: of `rabbitmqctl export_definitions`, if exported.

    is_embedded: whether `kopuro up` runs it. Raises InvalidArgumentError when the environment files or the
    definitions cannot be read.
    """
    environments = read_environments(env_dir)
    hub = _hub_of(environments)
    databases = tuple(database_state(name, variables) for name, variables in environments.items())
    # The gateway has no manifest, database or topology to compare; a hub may do without it.
    processes = {**environments, **_optional(env_dir, GATEWAY)}
    everybody = {**processes, **_optional(env_dir, OPERATIONS)}
    return Observations(
        now=now,
        is_embedded=is_embedded,
        machine=Machine(python=sys.version_info[:2], clock=observed_clock()),
        settings=tuple(_settings(name, variables) for name, variables in processes.items()),
        files=tuple(_files(env_dir, everybody)),
        unusable=tuple(unusable_files(processes)),
        keys=tuple(_keys(name, variables) for name, variables in environments.items()),
        announced=tuple(_announced(hub, processes)),
        servers=tuple(tls_servers(processes)),
        certificates=tuple(_certificates(processes)),
        logins=tuple(
            broker_login(name, variables, compares_topology=name in environments)
            for name, variables in everybody.items()
        ),
        exported=None if definitions is None else _exported(definitions, hub, environments["intake"]),
        databases=databases,
        spaces=tuple(_spaces(environments)),
        log=log_state(environments["audit"]),
        readiness=tuple(readiness(name, variables) for name, variables in processes.items()),
    )


def _hub_of(environments: Mapping[str, Mapping[str, str]]) -> str:
    """Return the hub that most services name: `settings` and `manifest` say which of them do not."""
    named = (variables.get("KOPURO_HUB", "").strip() for variables in environments.values())
    most = Counter(name for name in named if name).most_common(1)
    return most[0][0] if most else ""


def _optional(env_dir: Path, name: str) -> dict[str, dict[str, str]]:
    """Return the variables of `<name>.env` under the name, where the hub has that file."""
    file = env_dir / f"{name}.env"
    return {name: read_resolved(file)} if file.is_file() else {}


def _settings(service: str, variables: Mapping[str, str]) -> ServiceSettings:
    problems = [f"{name} is not set" for name in _OWN.get(service, ()) if not variables.get(name, "").strip()]
    try:
        Settings.from_environment(variables, is_client=service == GATEWAY)
    except SettingsError as error:
        problems = [*error.problems, *problems]
    unknown = {name: nearest(name) for name in variables if name.startswith(PREFIX) and name not in VARIABLES}
    return ServiceSettings(service=service, problems=tuple(problems), unknown=unknown)


def _files(env_dir: Path, environments: Mapping[str, Mapping[str, str]]) -> Iterator[FileState]:
    for service, variables in environments.items():
        own = env_dir / f"{service}.env"
        named = [(ENVIRONMENT, own, FileKind.private)]
        named += [(name, Path(variables[name]), kind) for name, kind in _FILES.items() if variables.get(name)]
        for variable, path, kind in named:
            mode = _mode(path)
            if mode is None and variable in _MADE_BY_SERVICE:
                continue
            yield FileState(service=service, variable=variable, path=path, kind=kind, mode=mode)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return None


def _keys(service: str, variables: Mapping[str, str]) -> ServiceKeys:
    user = urlsplit(variables.get("KOPURO_AMQP_URI", "")).username or ""
    hub = variables.get("KOPURO_HUB", "")
    try:
        root = VerificationKey(_json(variables.get("KOPURO_HUB_KEY", "")))
        text = Path(variables.get("KOPURO_MANIFEST", "")).read_text(encoding="utf-8")
        manifest = read_manifest(text, root)
    except (OSError, ValueError, UnusableSigningKey, Malformed) as error:
        reason = str(error) if isinstance(error, Malformed) else type(error).__name__
        return ServiceKeys(
            service=service,
            hub=hub,
            manifest_fault=f"the manifest cannot be used: {reason}",
            manifest_hub=None,
            kid=None,
            listed_kids=(),
            user=user,
            listed_user=None,
        )
    listed = manifest.services.get(service)
    return ServiceKeys(
        service=service,
        hub=hub,
        manifest_fault=None,
        manifest_hub=manifest.hub,
        kid=_kid(variables.get("KOPURO_SERVICE_KEY", "")),
        listed_kids=() if listed is None else tuple(key.kid for key in listed.keys),
        user=user,
        listed_user=None if listed is None else listed.user,
    )


def _kid(file: str) -> str | None:
    try:
        return SigningKey(_json(file), STATEMENT_TYPE).kid
    except (OSError, ValueError):
        return None


def _announced(hub: str, processes: Mapping[str, Mapping[str, str]]) -> Iterator[Announced]:
    """Return each document that a process names: a process may name another one than the others."""
    custody_kids = _custody_kids(processes["vault"].get("KOPURO_CUSTODY_KEY", ""))
    named = (variables.get("KOPURO_DISCOVERY", "").strip() for variables in processes.values())
    for file in dict.fromkeys(named):
        # The check `file` reports a file that does not exist.
        if file and Path(file).is_file():
            yield _announced_in(file, hub, custody_kids)


def _announced_in(file: str, hub: str, custody_kids: tuple[str, ...]) -> Announced:
    fault, document = None, {}
    addresses: dict[str, str] = {}
    try:
        document = _json(file)
        addresses = {str(name): str(url) for name, url in document.get("services", {}).items()}
    except OSError as error:
        fault = f"it cannot be read ({error.strerror})"
    except ValueError:
        fault = "it is not JSON"
    except AttributeError:
        fault = "it is not a JSON object, or its `services` is not one"
    custody = document.get("custody_key") if fault is None else None
    return Announced(
        path=Path(file),
        fault=fault,
        hub=document.get("hub") if fault is None else None,
        expected_hub=hub,
        addresses=addresses,
        custody_kid=custody.get("kid") if isinstance(custody, dict) else None,
        vault_kids=custody_kids,
        earlier_until=_earlier_until(document) if fault is None else None,
    )


def _earlier_until(document: Mapping[str, Any]) -> dt.datetime | None:
    try:
        found = [dt.datetime.fromisoformat(key["accepted_until"]) for key in document["earlier_custody_keys"]]
        return max(found, default=None)
    except (KeyError, TypeError, ValueError):
        return None


def _custody_kids(file: str) -> tuple[str, ...]:
    try:
        keys = private_keys(Path(file))
    except (OSError, ValueError):
        return ()
    return tuple(str(key["kid"]) for key in keys if "kid" in key)


def _certificates(environments: Mapping[str, Mapping[str, str]]) -> Iterator[Certificate]:
    files = {
        variables[name]
        for variables in environments.values()
        for name in _CERTIFICATES
        if variables.get(name)
    }
    for file in sorted(files):
        try:
            found = x509.load_pem_x509_certificates(Path(file).read_bytes())
        except (OSError, ValueError):
            continue  # the checks `file` and `tls` report this
        for certificate in found:
            yield Certificate(subject=file, not_after=certificate.not_valid_after_utc)


def _spaces(environments: Mapping[str, Mapping[str, str]]) -> Iterator[Space]:
    for service, variables in environments.items():
        places = [variables.get("KOPURO_VAULT_KEYS"), variables.get("KOPURO_LOG_DIRECTORY")]
        url = variables.get("KOPURO_DATABASE_URL", "")
        if url.startswith("sqlite:///"):
            places.append(url.removeprefix("sqlite:///"))
        for place in places:
            if place:
                path = Path(place)
                yield Space(subject=service, path=path, free=free_bytes(path), device=_device(path.parent))


def _device(directory: Path) -> int | None:
    try:
        return directory.stat().st_dev
    except OSError:
        return None


def _exported(file: Path, hub: str, variables: Mapping[str, str]) -> Exported:
    vhost = urlsplit(variables.get("KOPURO_AMQP_URI", "")).path.removeprefix("/") or "/"
    try:
        document = _json(str(file))
        present = {
            one["user"]: (one["configure"], one["write"], one["read"])
            for one in document["permissions"]
            if one.get("vhost", vhost) == vhost
        }
        administrators = tuple(
            one["name"] for one in document.get("users", []) if "administrator" in one.get("tags", [])
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidArgumentError(f"{file} is not a file of `rabbitmqctl export_definitions`") from None
    needed = {user_name(hub, user): rights_of(user) for user in USERS}
    if (watch := user_name(hub, WATCH)) in present:  # a hub may do without it
        needed[watch] = Rights()
    expected = {user: (one.configure, one.write, one.read) for user, one in needed.items()}
    return Exported(
        expected=expected,
        present=present,
        administrators=administrators,
        own_administrators=frozenset({user_name(hub, GATEWAY)}),
    )


def _json(file: str) -> Any:
    return json.loads(Path(file).read_text(encoding="utf-8"))
