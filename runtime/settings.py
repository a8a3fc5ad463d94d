"""The settings of a service process, read only from environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from runtime.environment import (
    Environment,
    amqp_uri,
    database_url,
    days,
    days_between,
    file,
    hub,
    issuer,
    management_uri,
    one_of,
    positive,
    ratio,
    seconds,
    traces_endpoint,
    whole_number,
)
from runtime.tls import BROKER, DATABASE, TlsFiles

# The policies of approval: a second person must confirm a decision, or one person decides alone.
TWO_PERSON = "two-person"
ONE_PERSON = "one-person"
KEY_PAUSE = timedelta(days=1)
RECEIPT_TIME = timedelta(minutes=15)
TRANSIT_KEY_PERIOD = timedelta(hours=1)
REQUESTS_PER_MINUTE = 1_800
SUBMISSIONS_PER_MINUTE = 300
SUBMISSIONS_BURST = 1_000
CUSTODY_MIB = 512
FACTS_KEPT = timedelta(days=90)
MESSAGES_KEPT = timedelta(days=30)
WATCH_REPORTS_KEPT = timedelta(days=730)
APPLICATION_DECIDED_WITHIN = timedelta(days=90)
APPLICATION_TRACES_KEPT = timedelta(days=30)
MOST_APPLICATIONS = 200

_ADDRESS = re.compile(r"(?P<host>[^:\s/]+):(?P<port>\d{1,5})")
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_flag = one_of("true", "false", described="neither true nor false")
_digest = one_of("day", "week", described="neither `day` nor `week`")
_approvals = one_of(TWO_PERSON, ONE_PERSON, described=f"neither {TWO_PERSON} nor {ONE_PERSON}")
_cover = whole_number(0, 9999, described="a whole number up to 9999")
# No fewer than partners rely on, and than `kopuro admin reconcile` looks back.
_messages_kept = days_between(MESSAGES_KEPT.days, 3650)


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
    # KOPURO_KEY_PAUSE_SECONDS, vault, intake and directory: how long nothing about a person goes to a sealing
    # key that replaced an earlier one without proof of that key
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
    # organisation, and the most statements, that intake admits a minute on average, and at once
    submissions_per_minute: int = SUBMISSIONS_PER_MINUTE
    submissions_burst: int = SUBMISSIONS_BURST
    # KOPURO_CUSTODY_MIB, intake only, optional: the MiB of cases of one sender's open referrals; emergencies
    # may use a quarter more, and notes have a quarter. An eighth may come at once, and a 32nd in a minute.
    custody_mib: int = CUSTODY_MIB
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
        given = Environment(environ)
        nowhere = Address(host="", port=0)
        settings = cls(
            amqp_uri=given.required("KOPURO_AMQP_URI", amqp_uri, ""),
            database_url="" if is_client else given.required("KOPURO_DATABASE_URL", database_url, ""),
            http_address=given.required("KOPURO_HTTP_ADDRESS", _address, nowhere),
            operations_address=given.required("KOPURO_OPERATIONS_ADDRESS", _address, nowhere),
            hub=given.required("KOPURO_HUB", hub, ""),
            # The discovery file may be written after this process has started.
            discovery=given.required("KOPURO_DISCOVERY", Path, Path()),
            service_key=Path() if is_client else given.required("KOPURO_SERVICE_KEY", file, Path()),
            manifest=Path() if is_client else given.required("KOPURO_MANIFEST", file, Path()),
            hub_key=Path() if is_client else given.required("KOPURO_HUB_KEY", file, Path()),
            broker_management_uri=given.optional("KOPURO_BROKER_MANAGEMENT_URI", management_uri, None),
            broker_tls=given.tls(BROKER, "KOPURO_AMQP_URI", ("amqps://",)),
            database_tls=given.tls(DATABASE, "KOPURO_DATABASE_URL", ("postgresql",)),
            key_pause=given.optional("KOPURO_KEY_PAUSE_SECONDS", seconds, KEY_PAUSE),
            receipt_time=given.optional("KOPURO_RECEIPT_SECONDS", seconds, RECEIPT_TIME),
            custody_key=given.optional("KOPURO_CUSTODY_KEY", file, None),
            vault_keys=given.optional("KOPURO_VAULT_KEYS", Path, None),
            transit_key_period=given.optional("KOPURO_TRANSIT_KEY_SECONDS", seconds, TRANSIT_KEY_PERIOD),
            gateway_key=given.optional("KOPURO_GATEWAY_KEY", file, None),
            token_signing_key=given.optional("KOPURO_TOKEN_SIGNING_KEY", file, None),
            log_signing_key=given.optional("KOPURO_LOG_SIGNING_KEY", file, None),
            policy=given.optional("KOPURO_POLICY", file, None),
            # The publishing process creates it on its first start.
            log_directory=given.optional("KOPURO_LOG_DIRECTORY", Path, None),
            witness_policy=given.optional("KOPURO_WITNESS_POLICY", file, None),
            retention=given.optional("KOPURO_RETENTION_DAYS", days, None),
            facts_kept=given.optional("KOPURO_FACTS_DAYS", days, FACTS_KEPT),
            digest=given.optional("KOPURO_DIGEST", _digest, None),
            sandbox=_sandbox(given),
            messages_kept=given.optional("KOPURO_MAILBOX_DAYS", _messages_kept, MESSAGES_KEPT),
            watch_reports_kept=given.optional(
                "KOPURO_WATCH_REPORT_DAYS", days_between(30, 3650), WATCH_REPORTS_KEPT
            ),
            most_applications=given.optional(
                "KOPURO_APPLICATIONS", whole_number(0, 10_000), MOST_APPLICATIONS
            ),
            application_decided_within=given.optional(
                "KOPURO_APPLICATION_DAYS", days_between(7, 365), APPLICATION_DECIDED_WITHIN
            ),
            application_traces_kept=given.optional(
                "KOPURO_APPLICATION_TRACE_DAYS", days_between(1, 365), APPLICATION_TRACES_KEPT
            ),
            cover=given.optional("KOPURO_LOG_COVER_PER_MINUTE", _cover, 0),
            approvals=given.optional("KOPURO_APPROVALS", _approvals, TWO_PERSON),
            webhook_key=given.optional("KOPURO_WEBHOOK_KEY", Path, None),
            webhook_networks=given.each("KOPURO_WEBHOOK_NETWORKS", ip_network, "networks"),
            webhook_refused=given.each("KOPURO_WEBHOOK_REFUSED", _address, "host:port"),
            requests_per_minute=given.optional("KOPURO_REQUESTS_PER_MINUTE", positive, REQUESTS_PER_MINUTE),
            submissions_per_minute=given.optional(
                "KOPURO_SUBMISSIONS_PER_MINUTE", positive, SUBMISSIONS_PER_MINUTE
            ),
            submissions_burst=given.optional("KOPURO_SUBMISSIONS_BURST", positive, SUBMISSIONS_BURST),
            custody_mib=given.optional(
                "KOPURO_CUSTODY_MIB",
                whole_number(16, 999_999, described="a number of MiB, at least 16"),
                CUSTODY_MIB,
            ),
            proxies=given.each("KOPURO_PROXIES", ip_network, "networks"),
            issuer=given.optional("KOPURO_ISSUER", issuer, None),
            traces_endpoint=given.optional("KOPURO_TRACES_ENDPOINT", traces_endpoint, None),
            traces_ratio=given.optional("KOPURO_TRACES_RATIO", ratio, 1.0),
            connections=given.optional("KOPURO_CONNECTIONS", positive, None),
            connections_per_address=given.optional("KOPURO_CONNECTIONS_PER_ADDRESS", positive, None),
        )
        if given.problems:
            raise SettingsError(given.problems)
        return settings


def _address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError("is not host:port")
    return Address(host=match["host"], port=int(match["port"]))


def _sandbox(given: Environment) -> bool:
    is_on = given.optional("KOPURO_SANDBOX", _flag, "false") == "true"
    host = given.text("KOPURO_HTTP_ADDRESS").rpartition(":")[0]
    if is_on and host not in _LOOPBACK:
        given.problems.append("KOPURO_SANDBOX is true, but KOPURO_HTTP_ADDRESS is not on loopback")
    return is_on
