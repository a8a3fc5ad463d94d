"""Observes the servers of a hub: broker, databases, the log and the services themselves."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import ssl
import struct
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from amqp.exceptions import AccessRefused, NotAllowed
from cryptography import x509
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from admin.doctor.observations import (
    BrokerLogin,
    Certificate,
    DatabaseState,
    LoginFault,
    LogState,
    Readiness,
    TlsServer,
)
from admin.hub_databases import ServiceDatabase, service_database_in
from admin.schema_revisions import revision_of
from contracts.broker_rights import GATEWAY
from contracts.errors import Defect, Unavailable
from contracts.topology import hub_topology
from kopuro_client.errors import InvalidArgumentError
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.broker import CONNECT_TIMEOUT_SECONDS, HEARTBEAT_SECONDS
from runtime.messaging.rabbit.connection import ConnectionFactory, close
from runtime.messaging.rabbit.management import ManagementApi
from runtime.messaging.rabbit.queue_reader import RabbitQueueReader
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.timed_connection import timed_connection, timed_exchange
from runtime.tls import BROKER, DATABASE, TlsFiles, UnusableTlsFiles, handshake_fault, tls_files
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.domain.merkle import root_at
from services.audit.log.domain.note import NoteError
from services.audit.log.handlers.published_log import CHECKPOINT

_SECONDS: Final = 5.0  # of a request, from connecting to the last byte of the response
# PostgreSQL, "Message Formats": SSLRequest.
_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)


def tls_servers(environments: Mapping[str, Mapping[str, str]]) -> Iterator[TlsServer]:
    """Return each server's address once, with what its certificate says."""
    seen = set()
    for service, variables in environments.items():
        broker = urlsplit(variables.get("KOPURO_AMQP_URI", ""))
        url = variables.get("KOPURO_DATABASE_URL", "")
        places: list[tuple[str, str, int, bool]] = []
        if broker.hostname:
            encrypted = broker.scheme == "amqps"
            places.append((BROKER, broker.hostname, broker.port or (5671 if encrypted else 5672), encrypted))
        if url.startswith("postgresql"):
            try:
                parsed = make_url(url)
            except (ArgumentError, ValueError):
                continue
            verified = bool(variables.get("KOPURO_DATABASE_CA")) or "sslmode" in parsed.query
            places.append((DATABASE, parsed.host or "localhost", parsed.port or 5432, verified))
        for server, host, port, encrypted in places:
            if (server, host, port) not in seen:
                seen.add((server, host, port))
                yield _tls_server(server, service, host, port, variables, encrypted=encrypted)


def _tls_server(
    server: str, service: str, host: str, port: int, variables: Mapping[str, str], *, encrypted: bool
) -> TlsServer:
    subject = f"database of {service}"
    if server == BROKER:
        subject = "partners' broker" if service == GATEWAY else "broker"
    address = f"{host}:{port}"
    fault, certificate = None, None
    if encrypted:
        try:
            files = tls_files(server, variables) or TlsFiles()
            certificate = _shown(host, port, files, starts_with_request=server == DATABASE)
        except UnusableTlsFiles as error:
            fault = str(error)
        except ssl.SSLError as error:
            fault = handshake_fault(error)
        except OSError:
            pass  # the check of the login reports an unreachable server
    return TlsServer(
        subject=subject,
        address=address,
        is_local=_is_local(host),
        encrypted=encrypted,
        fault=fault,
        certificate=None if certificate is None else Certificate(subject=subject, not_after=certificate),
    )


def _shown(host: str, port: int, files: TlsFiles, *, starts_with_request: bool) -> dt.datetime | None:
    with timed_connection((host, port), _SECONDS) as (plain, _):
        if starts_with_request:
            plain.sendall(_SSL_REQUEST)
            if plain.recv(1) != b"S":
                return None
        with files.context().wrap_socket(plain, server_hostname=host) as secure:
            shown = secure.getpeercert(binary_form=True)
    return None if shown is None else x509.load_der_x509_certificate(shown).not_valid_after_utc


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def broker_login(
    service: str, variables: Mapping[str, str], *, compares_topology: bool = True
) -> BrokerLogin:
    """Log in as the service and, unless its user may not look, compare the topology."""
    uri = variables.get("KOPURO_AMQP_URI", "")
    management_uri = variables.get("KOPURO_BROKER_MANAGEMENT_URI", "").strip() if compares_topology else ""
    if urlsplit(management_uri).hostname is None:
        management_uri = ""  # the check `settings` reports a malformed one
    known = BrokerLogin(
        service=service,
        user=urlsplit(uri).username or "",
        fault=None,
        address=_broker_address(uri),
        compares_bindings=bool(management_uri),
    )
    try:
        factory = ConnectionFactory(
            uri=uri,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            tls=tls_files(BROKER, variables),
        )
        link = factory.connect()
        known = replace(known, version=str(link.server_properties.get("version", "")) or None)
        close(link)
        if not compares_topology:
            return known
        management = ManagementApi(management_uri, factory.vhost, factory.tls) if management_uri else None
        with closing(RabbitQueueReader(factory, management)) as reader:
            known = replace(known, missing=reader.missing(hub_topology()), uncompared=reader.uncompared())
        return replace(known, alarms=_alarms(management))
    except (BrokerUnavailable, UnusableTlsFiles, ValueError) as error:
        cause, fault = _login_fault(error, over_tls=uri.startswith("amqps://"))
        return replace(known, cause=cause, fault=fault)


def _alarms(management: ManagementApi | None) -> tuple[str, ...]:
    try:
        return () if management is None else management.alarms()
    except BrokerUnavailable:
        return ()  # the check `management-plugin` reports this


def _login_fault(error: Exception, *, over_tls: bool) -> tuple[LoginFault, str]:
    if isinstance(error, UnusableTlsFiles):
        return LoginFault.tls, str(error)
    cause = error.__cause__
    if isinstance(cause, AccessRefused):
        return LoginFault.refused, "the broker refuses the user or its password"
    if isinstance(cause, NotAllowed):
        # RabbitMQ's words: `vhost NAME not found` and `access to vhost 'NAME' refused for user 'USER'`.
        if "not found" in str(cause.reply_text):
            return LoginFault.vhost, "the broker does not have the virtual host"
        return LoginFault.vhost, "the broker does not let the user into the virtual host"
    if cause is not None and (fault := handshake_fault(cause, over_tls=over_tls)) is not None:
        return LoginFault.tls, fault
    return LoginFault.unreachable, str(error)


def _broker_address(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.hostname}:{parts.port or (5671 if parts.scheme == 'amqps' else 5672)}"


def database_state(service: str, variables: Mapping[str, str]) -> DatabaseState:
    """Read a service's database."""
    try:
        place = service_database_in(service, variables)
        revision = revision_of(place)
        if revision.current is None:
            return DatabaseState(service=service, fault=None, revision=revision)
        database = Database.open(place.url, tls=place.tls)
        try:
            with database.read() as transaction:
                return _state(
                    place, transaction, DatabaseState(service=service, fault=None, revision=revision)
                )
        finally:
            database.close()
    except InvalidArgumentError as error:
        return DatabaseState(service=service, fault=str(error))
    except (DatabaseUnavailable, DBAPIError) as error:
        reason = error.reason() if isinstance(error, DatabaseUnavailable) else type(error).__name__
        return DatabaseState(service=service, fault=reason)


def _state(place: ServiceDatabase, transaction: Connection, known: DatabaseState) -> DatabaseState:
    version, ahead = None, dt.timedelta(0)
    if transaction.dialect.name == "postgresql":
        number = int(transaction.execute(text("SHOW server_version_num")).scalar_one())
        version = (number // 10_000, number % 10_000)
        ahead = transaction.execute(text("SELECT clock_timestamp()")).scalar_one() - dt.datetime.now(dt.UTC)
    waiting = transaction.execute(text("SELECT COUNT(*) FROM outbox")).scalar_one()
    oldest = transaction.execute(text("SELECT message_id FROM outbox ORDER BY number LIMIT 1")).scalar()
    return DatabaseState(
        service=place.service,
        fault=None,
        version=version,
        revision=known.revision,
        clock_ahead=ahead,
        outbox=waiting,
        outbox_oldest=_time_in(oldest),
    )


def _time_in(message_id: str | None) -> dt.datetime | None:
    """Return the time in a UUIDv7 (RFC 9562, 5.7); None for any other text."""
    try:
        id_ = uuid.UUID(message_id or "")
    except ValueError:
        return None
    return dt.datetime.fromtimestamp((id_.int >> 80) / 1000, dt.UTC) if id_.version == 7 else None


def log_state(variables: Mapping[str, str]) -> LogState | None:
    """Compare audit's database with the published log; None before audit's first start."""
    directory = variables.get("KOPURO_LOG_DIRECTORY")
    if not directory:
        return LogState(fault="KOPURO_LOG_DIRECTORY is not set")
    try:
        place = service_database_in("audit", variables)
        if revision_of(place).pending:
            return None
        try:
            key = load_log_key(
                Path(variables.get("KOPURO_LOG_SIGNING_KEY", "")), variables.get("KOPURO_HUB", "")
            )
        except Defect:
            return None  # the checks `file` and `key-file` report this
        # The file is read directly: a publication would remove what a running audit is writing.
        file = Path(directory) / CHECKPOINT
        current = key.read(file.read_bytes()) if file.is_file() else None
        database, log = Database.open(place.url, tls=place.tls), SqlLog()
        try:
            with database.read() as transaction:
                head = log.head(transaction)
                stored = 0 if head is None else head.size
                is_prefix = (
                    current is None
                    or current.size > stored
                    or root_at(current.size, log.nodes(transaction)) == current.root
                )
        finally:
            database.close()
    except InvalidArgumentError:
        return None  # the check `database` reports this
    except NoteError:
        return LogState(fault="the published checkpoint was not signed with this log's key")
    except (Defect, Unavailable, OSError) as error:
        return LogState(fault=str(error))
    return LogState(
        fault=None,
        directory=Path(directory),
        stored=stored,
        published=None if current is None else current.size,
        is_prefix=is_prefix,
    )


def readiness(service: str, variables: Mapping[str, str]) -> Readiness:
    """Ask a service's `/readyz`."""
    address = variables.get("KOPURO_OPERATIONS_ADDRESS", "")
    host, _, port = address.rpartition(":")
    endpoint = (host or "localhost", int(port) if port.isdigit() else 0)
    try:
        document = json.loads(timed_exchange(endpoint, _SECONDS, "GET", "/readyz")[1])
        reasons, warned = (
            {str(name): str(value) for name, value in document[part].items() if value != "ok"}
            for part in ("checks", "warnings")
        )
    except (OSError, http.client.HTTPException, ValueError, KeyError, AttributeError) as error:
        return Readiness(service=service, address=address, fault=type(error).__name__)
    return Readiness(service=service, address=address, fault=None, reasons=reasons, warned=warned)
