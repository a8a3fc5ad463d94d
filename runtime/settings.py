"""The settings of a service process, read only from environment variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from runtime.secret_files import with_secrets
from runtime.tls import BROKER, DATABASE, TlsFiles, UnusableTlsFiles, tls_files, variables

T = TypeVar("T")

# The policies of approval: a second person must confirm a decision, or one person decides alone.
TWO_PERSON = "two-person"
ONE_PERSON = "one-person"
KEY_PAUSE = timedelta(days=1)
RECEIPT_TIME = timedelta(minutes=15)
TRANSIT_KEY_PERIOD = timedelta(hours=1)
REQUESTS_PER_MINUTE = 1_800
SUBMISSIONS_PER_MINUTE = 300
SUBMISSIONS_BURST = 1_000
FACTS_KEPT = timedelta(days=90)
MESSAGES_KEPT = timedelta(days=30)
WATCH_REPORTS_KEPT = timedelta(days=730)
APPLICATION_DECIDED_WITHIN = timedelta(days=90)
APPLICATION_TRACES_KEPT = timedelta(days=30)
MOST_APPLICATIONS = 200

_ADDRESS = re.compile(r"(?P<host>[^:\s/]+):(?P<port>\d{1,5})")
_MANAGEMENT_URI = re.compile(r"https?://[^:/@\s]+:[^:/@\s]+@[^:/@\s\[\]]+(:\d{1,5})?(/[^?#\s]*)?")
# RFC 8414 §2: https, without query and fragment. http is for one machine, such as the sandbox.
_ISSUER = re.compile(r"https?://[^/?#@\s]+(/[^/?#\s]+)*")
# The library posts to the URL as it is: without a path, a receiver answers 404.
_TRACES_ENDPOINT = re.compile(r"https?://[^/?#@\s]+(/[^/?#\s]+)+")
_RATIO = re.compile(r"[01](\.\d{1,9})?")
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_HUB = re.compile(r"[a-z]{2}")


class SettingsError(Exception):
    """Environment variables are missing or invalid; `problems` names each of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("environment variables are missing or invalid:\n  " + "\n  ".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A TCP address to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings of one service process. Fields that hold a password stay out of `repr`."""

    amqp_uri: str = field(repr=False)  # KOPURO_AMQP_URI
    database_url: str = field(repr=False)  # KOPURO_DATABASE_URL, an SQLAlchemy URL
    http_address: Address  # KOPURO_HTTP_ADDRESS
    operations_address: Address  # KOPURO_OPERATIONS_ADDRESS: /metrics /healthz /readyz
    hub: str  # KOPURO_HUB, a lower-case country code
    discovery: Path  # KOPURO_DISCOVERY, the file behind /.well-known/kopuro
    service_key: Path  # KOPURO_SERVICE_KEY, the private key that signs this service's facts
    manifest: Path  # KOPURO_MANIFEST, the hub's signed list of services and keys
    hub_key: Path  # KOPURO_HUB_KEY, the public key that signed the manifest
    # KOPURO_BROKER_MANAGEMENT_URI, optional: the broker's management API, to compare the bindings
    broker_management_uri: str | None = field(default=None, repr=False)
    # KOPURO_BROKER_CA, KOPURO_BROKER_CERTIFICATE, KOPURO_BROKER_CERTIFICATE_KEY, optional: for amqps://
    broker_tls: TlsFiles | None = None
    # KOPURO_DATABASE_CA and so on, optional: for TLS to PostgreSQL with a verified certificate
    database_tls: TlsFiles | None = None
    custody_key: Path | None = None  # KOPURO_CUSTODY_KEY, vault only
    # KOPURO_VAULT_KEYS, vault only: a SQLite file for its own keys, created by the first start
    vault_keys: Path | None = None
    # KOPURO_TRANSIT_KEY_SECONDS, vault only: how often it makes a new transit key
    transit_key_period: timedelta = TRANSIT_KEY_PERIOD
    # KOPURO_KEY_PAUSE_SECONDS, vault only: how long no case is released to a sealing key that replaced an
    # earlier one without proof of that key
    key_pause: timedelta = KEY_PAUSE
    # KOPURO_RECEIPT_SECONDS, optional: how long audit's receipt for a published event may take
    receipt_time: timedelta = RECEIPT_TIME
    # KOPURO_GATEWAY_KEY, gateway only: the private key with which it acts for organisations (JWK)
    gateway_key: Path | None = None
    token_signing_key: Path | None = None  # KOPURO_TOKEN_SIGNING_KEY, directory only
    log_signing_key: Path | None = None  # KOPURO_LOG_SIGNING_KEY, audit only
    policy: Path | None = None  # KOPURO_POLICY, routing only, optional
    log_directory: Path | None = None  # KOPURO_LOG_DIRECTORY, audit only: where the log is published
    witness_policy: Path | None = None  # KOPURO_WITNESS_POLICY, audit only, optional
    # KOPURO_RETENTION_DAYS, audit only, optional: days to keep content after its referral; None: no limit
    retention: timedelta | None = None
    # KOPURO_FACTS_DAYS, routing only, optional: days to keep a referral's facts and decisions after its end
    facts_kept: timedelta = FACTS_KEPT
    # KOPURO_DIGEST, routing only, optional: `day` or `week`, how often the coordinators get a digest
    digest: str | None = None
    # KOPURO_MAILBOX_DAYS, delivery only, optional: days to keep a message after its acknowledgement
    messages_kept: timedelta = MESSAGES_KEPT
    # KOPURO_WATCH_REPORT_DAYS, directory only, optional: days for which a report about an employer counts
    watch_reports_kept: timedelta = WATCH_REPORTS_KEPT
    # KOPURO_APPLICATIONS, directory only, optional: the most applications to join that may wait, with those
    # withdrawn within a day of being sent; 0: none
    most_applications: int = MOST_APPLICATIONS
    # KOPURO_APPLICATION_DAYS, directory only, optional: days in which an application must be decided
    application_decided_within: timedelta = APPLICATION_DECIDED_WITHIN
    # KOPURO_APPLICATION_TRACE_DAYS, directory only, optional: days to keep the traces of one that has ended
    application_traces_kept: timedelta = APPLICATION_TRACES_KEPT
    # KOPURO_SANDBOX, delivery only, optional: `true` lets organisations put messages of their own into their
    # mailboxes (`kopuro trigger`). Only a service on loopback accepts it
    sandbox: bool = False
    # KOPURO_LOG_COVER_PER_MINUTE, audit only, optional: entries that the log gets in a minute at least
    cover: int = 0
    # KOPURO_APPROVALS, directory only, optional: `two-person` or `one-person`
    approvals: str = TWO_PERSON
    # KOPURO_WEBHOOK_KEY, delivery only, optional: the file of the key that seals webhook secrets, created by
    # the first start; None: the hub sends no webhooks
    webhook_key: Path | None = None
    # KOPURO_WEBHOOK_NETWORKS, delivery only, optional: networks that are not public and that webhooks may
    # reach, without TLS too
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    # KOPURO_WEBHOOK_REFUSED, delivery only, optional: more addresses of the hub, which webhooks never reach
    webhook_refused: tuple[Address, ...] = ()
    # KOPURO_REQUESTS_PER_MINUTE, optional: the most requests of one organisation to this process
    requests_per_minute: int = REQUESTS_PER_MINUTE
    # KOPURO_SUBMISSIONS_PER_MINUTE and KOPURO_SUBMISSIONS_BURST, optional: the most referrals of one
    # organisation, and the most statements, that intake takes in a minute for long, and at once
    submissions_per_minute: int = SUBMISSIONS_PER_MINUTE
    submissions_burst: int = SUBMISSIONS_BURST
    # KOPURO_PROXIES, optional: the networks of the proxies in front of this service, whose X-Forwarded-For
    # names the client
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    # KOPURO_ISSUER, optional: the `iss` of tokens, a URL (RFC 8414 §2); None: `kopuro:<hub>`
    issuer: str | None = None
    # KOPURO_TRACES_ENDPOINT, optional: the URL of an OTLP/HTTP receiver of spans; None: no traces
    traces_endpoint: str | None = None
    # KOPURO_TRACES_RATIO, optional: the share of traces that are exported, above 0 and up to 1
    traces_ratio: float = 1.0
    # KOPURO_CONNECTIONS, KOPURO_CONNECTIONS_PER_ADDRESS, optional: the most open connections of the public
    # port, in all and of one address; None: `runtime/web/connections.py` derives them from the file limit
    connections: int | None = None
    connections_per_address: int | None = None

    @staticmethod
    def problems_of(environ: Mapping[str, str]) -> list[str]:
        """Return the faults of the variables in `environ`, without those of variables that are missing."""
        try:
            Settings.from_environment(environ)
        except SettingsError as error:
            return [problem for problem in error.problems if problem.partition(" ")[0] in environ]
        return []

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, is_client: bool = False) -> Settings:
        """Read the settings. Raises SettingsError with every fault at once, never with a value.

        is_client: of a process that is a client of the hub and needs no database, service key or manifest.
        """
        environ, problems = with_secrets(environ)

        def required(name: str, read: Callable[[str], T], fallback: T) -> T:
            text = environ.get(name, "").strip()
            if not text:
                problems.append(f"{name} is not set")
                return fallback
            try:
                return read(text)
            except ValueError as fault:
                problems.append(f"{name} {fault}")
                return fallback

        def optional(name: str, read: Callable[[str], T]) -> T | None:
            text = environ.get(name, "").strip()
            try:
                return read(text) if text else None
            except ValueError as fault:
                problems.append(f"{name} {fault}")
                return None

        def file(name: str) -> Path | None:
            text = environ.get(name, "").strip()
            if not text:
                return None
            if not Path(text).is_file():
                problems.append(f"{name} does not name a file")
            return Path(text)

        def days(name: str) -> timedelta | None:
            text = environ.get(name, "").strip()
            if not text:
                return None
            if not (text.isascii() and text.isdigit() and 0 < len(text) <= 5):
                problems.append(f"{name} is not a whole number of days")
                return None
            return timedelta(days=int(text))

        def mailbox_days(name: str) -> timedelta:
            text = environ.get(name, "").strip()
            if not text:
                return MESSAGES_KEPT
            # No fewer than partners rely on, and than `kopuro admin reconcile` looks back.
            least = MESSAGES_KEPT.days
            if not (text.isascii() and text.isdigit() and len(text) <= 4 and least <= int(text) <= 3650):
                problems.append(f"{name} is not a whole number of days from {least} to 3650")
                return MESSAGES_KEPT
            return timedelta(days=int(text))

        def days_between(name: str, least: int, most: int, default: timedelta) -> timedelta:
            text = environ.get(name, "").strip()
            if not text:
                return default
            if not (text.isascii() and text.isdigit() and len(text) <= 4 and least <= int(text) <= most):
                problems.append(f"{name} is not a whole number of days from {least} to {most}")
                return default
            return timedelta(days=int(text))

        def at_most(name: str, most: int, default: int) -> int:
            text = environ.get(name, "").strip()
            if not text:
                return default
            if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= most):
                problems.append(f"{name} is not a whole number from 0 to {most}")
                return default
            return int(text)

        def sandbox(name: str) -> bool:
            text = environ.get(name, "").strip()
            if text not in ("", "true", "false"):
                problems.append(f"{name} is neither true nor false")
            host = environ.get("KOPURO_HTTP_ADDRESS", "").strip().rpartition(":")[0]
            if text == "true" and host not in _LOOPBACK:
                problems.append(f"{name} is true, but KOPURO_HTTP_ADDRESS is not on loopback")
            return text == "true"

        def positive(name: str) -> int | None:
            text = environ.get(name, "").strip()
            if not text:
                return None
            if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) > 0):
                problems.append(f"{name} is not a positive whole number")
                return None
            return int(text)

        def policy_of_approvals(name: str) -> str:
            text = environ.get(name, "").strip() or TWO_PERSON
            if text not in (TWO_PERSON, ONE_PERSON):
                problems.append(f"{name} is neither {TWO_PERSON} nor {ONE_PERSON}")
                return TWO_PERSON
            return text

        def seconds(name: str, default: timedelta) -> timedelta:
            text = environ.get(name, "").strip()
            if not text:
                return default
            if not (text.isascii() and text.isdigit() and len(text) <= 8):
                problems.append(f"{name} is not a whole number of seconds")
                return default
            return timedelta(seconds=int(text))

        def management_uri(name: str) -> str | None:
            text = environ.get(name, "").strip()
            if not text:
                return None
            if _MANAGEMENT_URI.fullmatch(text) is None:
                problems.append(
                    f"{name} is not an http:// or https:// URI with a user, a password and a host"
                )
                return None
            return text

        def each(name: str, read: Callable[[str], T], what: str) -> tuple[T, ...]:
            texts = [text.strip() for text in environ.get(name, "").split(",")]
            try:
                return tuple(read(text) for text in texts if text)
            except ValueError:
                problems.append(f"{name} is not a comma-separated list of {what}")
                return ()

        def issuer_url(name: str) -> str | None:
            text = environ.get(name, "").strip()
            if not text:
                return None
            if _ISSUER.fullmatch(text) is None:
                problems.append(f"{name} is not a URL without query, fragment and trailing slash")
                return None
            return text

        def rate(name: str) -> int:
            text = environ.get(name, "").strip() or "0"
            if not (text.isascii() and text.isdigit() and len(text) <= 4):
                problems.append(f"{name} is not a whole number up to 9999")
                return 0
            return int(text)

        def tls(server: str, address: str, schemes: tuple[str, ...]) -> TlsFiles | None:
            try:
                files = tls_files(server, environ)
            except UnusableTlsFiles as fault:
                problems.extend(fault.problems)
                return None
            text = environ.get(address, "").strip()
            if files is not None and text and not text.startswith(schemes):
                given = " and ".join(name for name in variables(server).values() if environ.get(name))
                problems.append(f"{given} is set, but {address} does not use TLS")
            return files

        nowhere = Address(host="", port=0)
        settings = cls(
            amqp_uri=required("KOPURO_AMQP_URI", _amqp_uri, ""),
            database_url="" if is_client else required("KOPURO_DATABASE_URL", _database_url, ""),
            http_address=required("KOPURO_HTTP_ADDRESS", _address, nowhere),
            operations_address=required("KOPURO_OPERATIONS_ADDRESS", _address, nowhere),
            hub=required("KOPURO_HUB", _hub, ""),
            # The discovery file may be written after this process has started.
            discovery=required("KOPURO_DISCOVERY", Path, Path()),
            service_key=Path() if is_client else required("KOPURO_SERVICE_KEY", _file, Path()),
            manifest=Path() if is_client else required("KOPURO_MANIFEST", _file, Path()),
            hub_key=Path() if is_client else required("KOPURO_HUB_KEY", _file, Path()),
            broker_management_uri=management_uri("KOPURO_BROKER_MANAGEMENT_URI"),
            broker_tls=tls(BROKER, "KOPURO_AMQP_URI", ("amqps://",)),
            database_tls=tls(DATABASE, "KOPURO_DATABASE_URL", ("postgresql",)),
            key_pause=seconds("KOPURO_KEY_PAUSE_SECONDS", KEY_PAUSE),
            receipt_time=seconds("KOPURO_RECEIPT_SECONDS", RECEIPT_TIME),
            custody_key=file("KOPURO_CUSTODY_KEY"),
            vault_keys=Path(text) if (text := environ.get("KOPURO_VAULT_KEYS", "").strip()) else None,
            transit_key_period=seconds("KOPURO_TRANSIT_KEY_SECONDS", TRANSIT_KEY_PERIOD),
            gateway_key=file("KOPURO_GATEWAY_KEY"),
            token_signing_key=file("KOPURO_TOKEN_SIGNING_KEY"),
            log_signing_key=file("KOPURO_LOG_SIGNING_KEY"),
            policy=file("KOPURO_POLICY"),
            # The publishing process creates it on its first start.
            log_directory=Path(text) if (text := environ.get("KOPURO_LOG_DIRECTORY", "").strip()) else None,
            witness_policy=file("KOPURO_WITNESS_POLICY"),
            retention=days("KOPURO_RETENTION_DAYS"),
            facts_kept=kept if (kept := days("KOPURO_FACTS_DAYS")) is not None else FACTS_KEPT,
            digest=optional("KOPURO_DIGEST", _digest),
            sandbox=sandbox("KOPURO_SANDBOX"),
            messages_kept=mailbox_days("KOPURO_MAILBOX_DAYS"),
            watch_reports_kept=days_between("KOPURO_WATCH_REPORT_DAYS", 30, 3650, WATCH_REPORTS_KEPT),
            most_applications=at_most("KOPURO_APPLICATIONS", 10_000, MOST_APPLICATIONS),
            application_decided_within=days_between(
                "KOPURO_APPLICATION_DAYS", 7, 365, APPLICATION_DECIDED_WITHIN
            ),
            application_traces_kept=days_between(
                "KOPURO_APPLICATION_TRACE_DAYS", 1, 365, APPLICATION_TRACES_KEPT
            ),
            cover=rate("KOPURO_LOG_COVER_PER_MINUTE"),
            approvals=policy_of_approvals("KOPURO_APPROVALS"),
            webhook_key=Path(text) if (text := environ.get("KOPURO_WEBHOOK_KEY", "").strip()) else None,
            webhook_networks=each("KOPURO_WEBHOOK_NETWORKS", ip_network, "networks"),
            webhook_refused=each("KOPURO_WEBHOOK_REFUSED", _address, "host:port"),
            requests_per_minute=positive("KOPURO_REQUESTS_PER_MINUTE") or REQUESTS_PER_MINUTE,
            submissions_per_minute=positive("KOPURO_SUBMISSIONS_PER_MINUTE") or SUBMISSIONS_PER_MINUTE,
            submissions_burst=positive("KOPURO_SUBMISSIONS_BURST") or SUBMISSIONS_BURST,
            proxies=each("KOPURO_PROXIES", ip_network, "networks"),
            issuer=issuer_url("KOPURO_ISSUER"),
            traces_endpoint=optional("KOPURO_TRACES_ENDPOINT", _traces_endpoint),
            traces_ratio=optional("KOPURO_TRACES_RATIO", _ratio) or 1.0,
            connections=positive("KOPURO_CONNECTIONS"),
            connections_per_address=positive("KOPURO_CONNECTIONS_PER_ADDRESS"),
        )
        if problems:
            raise SettingsError(problems)
        return settings


def _address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError("is not host:port")
    return Address(host=match["host"], port=int(match["port"]))


def _traces_endpoint(text: str) -> str:
    if _TRACES_ENDPOINT.fullmatch(text) is None:
        raise ValueError("is not an http:// or https:// URL with a path and without user, query and fragment")
    return text


def _digest(text: str) -> str:
    if text not in ("day", "week"):
        raise ValueError("is neither `day` nor `week`")
    return text


def _ratio(text: str) -> float:
    if _RATIO.fullmatch(text) is None or not 0 < float(text) <= 1:
        raise ValueError("is not a decimal number above 0 and up to 1")
    return float(text)


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError("does not name a file")
    return Path(text)


def _hub(text: str) -> str:
    if _HUB.fullmatch(text) is None:
        raise ValueError("is not a lower-case two-letter country code")
    return text


def _amqp_uri(text: str) -> str:
    if not text.startswith(("amqp://", "amqps://")):
        raise ValueError("is not an amqp:// or amqps:// URI")
    if "ssl" in text.partition("?")[2]:
        raise ValueError("has parameters for TLS: set KOPURO_BROKER_CA and KOPURO_BROKER_CERTIFICATE instead")
    return text


def _database_url(text: str) -> str:
    try:
        backend = make_url(text).get_backend_name()
    except (ArgumentError, ValueError):
        raise ValueError("is not an SQLAlchemy database URL") from None
    if backend not in ("sqlite", "postgresql"):
        raise ValueError("is not a SQLite or PostgreSQL URL")
    return text
