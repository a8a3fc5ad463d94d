"""The facts that doctor observes. Times are aware; a `fault` is why something could not be observed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from admin.schema_revisions import SchemaRevision

# In place of a variable: the environment file itself.
ENVIRONMENT: Final = "its environment"


class FileKind(StrEnum):
    """private: only its owner may read it. public: everybody may read it, only its owner may write it."""

    private = "private"
    public = "public"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """A file that a variable names. mode: None when it does not exist."""

    service: str
    variable: str
    path: Path
    kind: FileKind
    mode: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceKeys:
    """The identity of a service in its files. None: the file cannot be read, or has another content."""

    service: str
    hub: str
    manifest_fault: str | None
    manifest_hub: str | None
    kid: str | None
    listed_kids: tuple[str, ...]
    user: str
    listed_user: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnusableFile:
    """A file that a variable names and that the service refuses, at its start or when it needs the file."""

    service: str
    variable: str
    path: Path
    fault: str
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Announced:
    """The discovery document. hub, custody_kid: None when absent. vault_kids: of the vault's own key file.

    earlier_until: until when cases for an earlier custody key are admitted; None: they are not.
    """

    path: Path
    fault: str | None
    hub: str | None
    expected_hub: str
    addresses: Mapping[str, str]
    custody_kid: str | None
    vault_kids: tuple[str, ...]
    earlier_until: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """A certificate, shown by a server or in a file of ours."""

    subject: str
    not_after: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsServer:
    """A server's address. encrypted: whether the address asks for TLS. fault: of the handshake."""

    subject: str
    address: str
    is_local: bool
    encrypted: bool
    fault: str | None = None
    certificate: Certificate | None = None


class LoginFault(StrEnum):
    """Why a login at the broker failed."""

    unreachable = "unreachable"
    tls = "tls"
    refused = "refused"
    vhost = "vhost"


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerLogin:
    """The broker as one service sees it. missing: exchanges, queues and, where compared, bindings.

    cause: of the fault. alarms: the resources for which the broker blocks publishers, as far as its
    management API names them.
    """

    service: str
    user: str
    fault: str | None
    address: str = ""
    cause: LoginFault = LoginFault.unreachable
    alarms: tuple[str, ...] = ()
    version: str | None = None
    missing: tuple[str, ...] = ()
    compares_bindings: bool = False
    uncompared: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """The broker's own definitions (`rabbitmqctl export_definitions`) beside those of this build.

    users and permissions: by user's name, (configure, write, read). Only those of the hub's virtual host.
    own_administrators: users that the hub has for that, such as the gateway's.
    """

    expected: Mapping[str, tuple[str, str, str]]
    present: Mapping[str, tuple[str, str, str]]
    administrators: tuple[str, ...] = ()
    own_administrators: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseState:
    """One service's database. version: of PostgreSQL as (major, minor), None for SQLite."""

    service: str
    fault: str | None
    version: tuple[int, int] | None = None
    revision: SchemaRevision | None = None
    clock_ahead: dt.timedelta = dt.timedelta(0)
    outbox: int = 0
    outbox_oldest: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """Free bytes of the file system of a path; None: unknown. device: the file system's number."""

    subject: str
    path: Path
    free: int | None
    device: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LogState:
    """Audit's log: the sizes of the stored and the published tree; None: not there yet. fault: unreadable.

    directory: of the published log.
    """

    fault: str | None
    directory: Path | None = None
    stored: int | None = None
    published: int | None = None
    is_prefix: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSettings:
    """The faults of its variables that a service would report at a start, without the values.

    unknown: the names with our prefix that it does not read, each with the variable spelt most like it.
    """

    service: str
    problems: tuple[str, ...]
    unknown: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """A service's `/readyz`. fault: it does not answer. reasons: of checks, warned: of warnings, by name."""

    service: str
    address: str
    fault: str | None
    reasons: Mapping[str, str] = field(default_factory=dict)
    warned: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineClock:
    """The clock of the machine on which doctor runs.

    synchronized: whether time servers are known to agree with it; None: nothing here says. ahead: how far it
    is ahead of them, zero where only their agreement is known.
    """

    synchronized: bool | None
    ahead: dt.timedelta = dt.timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The machine on which doctor runs."""

    python: tuple[int, int]
    clock: MachineClock


@dataclass(frozen=True, kw_only=True, slots=True)
class Observations:
    """Everything that was observed of a hub, at the moment `now`.

    is_embedded: whether `kopuro up` runs it, which writes the environment files and imports the topology.
    """

    now: dt.datetime
    machine: Machine
    is_embedded: bool = False
    settings: tuple[ServiceSettings, ...] = ()
    files: tuple[FileState, ...] = ()
    unusable: tuple[UnusableFile, ...] = ()
    keys: tuple[ServiceKeys, ...] = ()
    announced: tuple[Announced, ...] = ()
    servers: tuple[TlsServer, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    logins: tuple[BrokerLogin, ...] = ()
    exported: Exported | None = None
    databases: tuple[DatabaseState, ...] = ()
    spaces: tuple[Space, ...] = ()
    log: LogState | None = None
    readiness: tuple[Readiness, ...] = ()
