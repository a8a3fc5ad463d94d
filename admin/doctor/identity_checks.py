"""Checks of settings, files, keys, the manifest and the discovery document."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from admin.doctor.findings import Finding, Severity
from admin.doctor.observations import ENVIRONMENT, Announced, FileKind, FileState, Observations, ServiceKeys

_TABLE = "the table in README.md lists every variable"
_OTHERS_READ = 0o077
_OTHERS_WRITE = 0o022
_PUBLIC_SERVICES = frozenset({"intake", "directory", "routing", "delivery", "audit"})


def settings_findings(seen: Observations) -> Iterator[Finding]:
    for settings in seen.settings:
        for problem in settings.problems:
            yield Finding(
                check="settings",
                subject=settings.service,
                what=f"the service does not start: {problem}",
                remedy=f"correct the service's .env file; {_TABLE}",
            )
        for name, meant in settings.unknown.items():
            yield Finding(
                check="unknown-variable",
                subject=settings.service,
                what=f"the service ignores {name}" + (f": is {meant} meant?" if meant else ""),
                remedy=f"correct or remove it in the service's .env file; {_TABLE}",
                severity=Severity.warning,
            )


def file_findings(seen: Observations) -> Iterator[Finding]:
    # Services share public files: one fault is one finding.
    services: dict[tuple[str, Path, FileKind], list[FileState]] = {}
    for file in seen.files:
        services.setdefault((file.variable, file.path, file.kind), []).append(file)
    for same in services.values():
        file = same[0]
        subject = f"{', '.join(one.service for one in same)}: {file.path}"
        if file.mode is None:
            yield Finding(
                check="file",
                subject=subject,
                what=f"{file.variable} names a file that does not exist or cannot be read",
                remedy="restore it from its backup; `kopuro admin init` only makes the files of a new hub",
            )
        elif file.kind is FileKind.private and file.mode & _OTHERS_READ:
            replace = (
                "the passwords in it, those of the broker and the database"
                if file.variable == ENVIRONMENT
                else "the key (`kopuro admin rotate`, `kopuro admin manifest add-key`)"
            )
            yield Finding(
                check="key-file-mode",
                subject=subject,
                what=f"other users can access the private file (mode {file.mode:04o})",
                remedy=f"chmod 600 {file.path}; if others used this machine, replace {replace}",
            )
        elif file.kind is FileKind.public and file.mode & _OTHERS_WRITE:
            yield Finding(
                check="public-file-mode",
                subject=subject,
                what=f"other users can change the file (mode {file.mode:04o})",
                remedy=f"chmod 644 {file.path}",
            )


def unusable_file_findings(seen: Observations) -> Iterator[Finding]:
    for file in seen.unusable:
        yield Finding(
            check="key-file",
            subject=f"{file.service}: {file.path}",
            what=f"{file.variable} {file.fault}",
            remedy=file.remedy,
        )


def key_findings(seen: Observations) -> Iterator[Finding]:
    for keys in seen.keys:
        yield from _of_service(keys)


def _of_service(keys: ServiceKeys) -> Iterator[Finding]:
    if keys.manifest_fault is not None:
        yield Finding(
            check="manifest",
            subject=keys.service,
            what=keys.manifest_fault,
            remedy="install manifest.jws and hub.public.json of this hub (`kopuro admin manifest show DIR`)",
        )
        return
    if keys.hub and keys.manifest_hub != keys.hub:
        yield Finding(
            check="manifest",
            subject=keys.service,
            what=f"the manifest belongs to the hub {keys.manifest_hub}, but KOPURO_HUB is {keys.hub}",
            remedy="correct KOPURO_HUB, or install this hub's manifest",
        )
    if keys.kid is None:
        yield Finding(
            check="service-key",
            subject=keys.service,
            what="KOPURO_SERVICE_KEY does not name a private Ed25519 JWK",
            remedy="restore the key file, or make another one with `kopuro admin manifest add-key`",
        )
    elif keys.kid not in keys.listed_kids:
        yield Finding(
            check="service-key",
            subject=keys.service,
            what=f"the manifest does not list the key in KOPURO_SERVICE_KEY ({keys.kid})",
            remedy="install the newest manifest, or name the key file that it lists",
        )
    if keys.listed_user != keys.user:
        yield Finding(
            check="broker-user",
            subject=keys.service,
            what=f"KOPURO_AMQP_URI names the user {keys.user}; the manifest lists {keys.listed_user}",
            remedy="use the service's own user, or `kopuro admin manifest set-user`",
        )


def announced_findings(seen: Observations) -> Iterator[Finding]:
    for document in seen.announced:
        yield from _announced_in(document, seen.now)


def _announced_in(document: Announced, now: dt.datetime) -> Iterator[Finding]:
    subject = str(document.path)
    if document.fault is not None:
        yield Finding(
            check="discovery",
            subject=subject,
            what=f"the discovery document cannot be used: {document.fault}",
            remedy="write it as docs/operations.md shows (`kopuro admin init` does)",
        )
        return
    if document.expected_hub and document.hub != document.expected_hub:
        yield Finding(
            check="discovery",
            subject=subject,
            what=f"the document announces the hub {document.hub}, but KOPURO_HUB is {document.expected_hub}",
            remedy="correct `hub`: it is the country where cases are stored",
        )
    if missing := sorted(_PUBLIC_SERVICES - document.addresses.keys()):
        yield Finding(
            check="discovery",
            subject=subject,
            what=f"the document has no address of {', '.join(missing)}",
            remedy="add the public address of each under `services`",
        )
    if plain := sorted(
        name
        for name, url in document.addresses.items()
        if url.startswith("http://") and not _is_loopback(url)
    ):
        yield Finding(
            check="discovery-tls",
            subject=subject,
            what=f"the addresses of {', '.join(plain)} are not https",
            remedy="put a TLS proxy in front of the services, and announce its https addresses",
        )
    if document.vault_kids and document.custody_kid not in document.vault_kids:
        yield Finding(
            check="custody-key",
            subject=subject,
            what=f"the announced custody key {document.custody_kid} is not the vault's "
            f"({', '.join(document.vault_kids)}), so the vault cannot open what partners seal",
            remedy="copy the public half of the vault's key to `custody_key`; services read the file again",
        )
    elif len(document.vault_kids) > 1 and (document.earlier_until is None or document.earlier_until < now):
        yield Finding(
            check="earlier-custody-key",
            subject=subject,
            what="the vault still has an earlier custody key, for which no case is admitted any more",
            remedy="`kopuro admin rotate custody DIR --retire` removes it once no case needs it",
            severity=Severity.warning,
        )


def _is_loopback(url: str) -> bool:
    return url.removeprefix("http://").startswith(("127.", "localhost", "[::1]"))
