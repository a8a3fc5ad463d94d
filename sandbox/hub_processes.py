"""The processes of an embedded hub: their commands, their environments, and what each may know."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from admin.embedded_broker import LOOPBACK, BrokerIdentity
from admin.environment_files import write_environment
from admin.manifest_files import current_key_file
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import sqlite_url
from runtime.tls import BROKER, DATABASE, TlsFiles, UnusableTlsFiles, tls_files, variables
from sandbox.broker import PrivateBroker
from sandbox.hub_files import GATEWAY, HUB, HubFiles
from sandbox.process import ServiceProcess

# The only variables that services inherit: program search paths, locale, temporary directory.
# The last one: eventlet's switch for its own resolver, whose import takes a fifth of a service's start.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "EVENTLET_NO_GREENDNS")
# Settings of services that the environment of `kopuro up` may change: all but the files, addresses and names
# that it gives them itself. Each service ignores those of others.
_PASSED_ON = (
    "KOPURO_APPLICATIONS",
    "KOPURO_APPLICATION_DAYS",
    "KOPURO_APPLICATION_TRACE_DAYS",
    "KOPURO_CONNECTIONS",
    "KOPURO_CONNECTIONS_PER_ADDRESS",
    "KOPURO_CUSTODY_MIB",
    "KOPURO_DIGEST",
    "KOPURO_FACTS_DAYS",
    "KOPURO_KEY_PAUSE_SECONDS",
    "KOPURO_LOG_COVER_PER_MINUTE",
    "KOPURO_MAILBOX_DAYS",
    "KOPURO_PROXIES",
    "KOPURO_RECEIPT_SECONDS",
    "KOPURO_REQUESTS_PER_MINUTE",
    "KOPURO_RETENTION_DAYS",
    "KOPURO_SUBMISSIONS_BURST",
    "KOPURO_SUBMISSIONS_PER_MINUTE",
    "KOPURO_TRACES_ENDPOINT",
    "KOPURO_TRACES_RATIO",
    "KOPURO_TRANSIT_KEY_SECONDS",
    "KOPURO_WATCH_REPORT_DAYS",
)


class HubError(Exception):
    """The hub cannot start; the text says what to do."""


class HubProcesses:
    """Describes the processes; `Hub` starts them."""

    def __init__(
        self, files: HubFiles, environment: Mapping[str, str], *, policy: Path | None, approvals: str
    ) -> None:
        """environment: of `kopuro up`. policy, approvals: as of `Hub`."""
        self._files = files
        self._environment = environment
        self._policy = policy
        self._approvals = approvals

    def service(self, service: str, amqp_uri: str, broker: PrivateBroker | None) -> ServiceProcess:
        """Return a service's process, and write its environment file. broker: the private one, if any."""
        ports = self._files.ports(service)
        environment = {
            **self.inherited(),
            "KOPURO_AMQP_URI": amqp_uri,
            "KOPURO_DATABASE_URL": self.database_url(service),
            "KOPURO_HTTP_ADDRESS": f"{LOOPBACK}:{ports.http}",
            "KOPURO_OPERATIONS_ADDRESS": f"{LOOPBACK}:{ports.operations}",
            "KOPURO_HUB": HUB,
            "KOPURO_DISCOVERY": str(self._files.discovery),
            "KOPURO_ISSUER": f"http://{LOOPBACK}:{self._files.ports('directory').http}",
            "KOPURO_SERVICE_KEY": str(self._service_key(service)),
            "KOPURO_MANIFEST": str(self._files.manifest),
            "KOPURO_HUB_KEY": str(self._files.hub_key),
        }
        environment |= self.passed_on()
        # Each secret goes only to the service that uses it.
        match service:
            case "vault":
                environment["KOPURO_CUSTODY_KEY"] = str(self._files.key("custody"))
                environment["KOPURO_VAULT_KEYS"] = str(self._files.vault_keys)
            case "delivery":
                environment["KOPURO_WEBHOOK_KEY"] = str(self._files.webhook_key)
                # A partner that tries the sandbox receives webhooks on the same machine.
                environment["KOPURO_WEBHOOK_NETWORKS"] = f"{LOOPBACK}/32"
                own_ports = set(self._files.reserved_ports())
                if broker is not None:
                    own_ports.add(broker.identity.distribution_port)
                # A hub with a broker of its own may be more than a sandbox, so this is done only on demand.
                default = "false" if broker is None else "true"
                environment["KOPURO_SANDBOX"] = self._environment.get("KOPURO_SANDBOX", default)
                environment["KOPURO_WEBHOOK_REFUSED"] = ",".join(
                    f"{LOOPBACK}:{port}" for port in sorted(own_ports)
                )
            case "directory":
                environment["KOPURO_TOKEN_SIGNING_KEY"] = str(self._files.key("token"))
                environment["KOPURO_APPROVALS"] = self._approvals
            case "audit":
                environment["KOPURO_LOG_SIGNING_KEY"] = str(self._files.key("log"))
                environment["KOPURO_LOG_DIRECTORY"] = str(self._files.published_log)
                if witnesses := self._environment.get("KOPURO_WITNESS_POLICY"):
                    environment["KOPURO_WITNESS_POLICY"] = witnesses
            case "routing" if self._policy is not None:
                environment["KOPURO_POLICY"] = str(self._policy)
        # `kopuro admin` reads these files of a hub: the same as those of a hub of processes.
        own = {name: value for name, value in environment.items() if name.startswith("KOPURO_")}
        self._files.environments.mkdir(mode=0o700, exist_ok=True)
        write_environment(self._files.environments / f"{service}.env", own)
        return ServiceProcess(
            service,
            [sys.executable, "-m", "runtime", f"services.{service}"],
            environment=environment,
            log=self._files.log(service),
        )

    def gateway(self, broker: BrokerIdentity) -> ServiceProcess:
        """Return the gateway's process. It has no service's key and no right in the hub's virtual host."""
        ports = self._files.ports(GATEWAY)
        environment = {
            **self.inherited(),
            "KOPURO_AMQP_URI": broker.partners_uri(HUB),
            "KOPURO_BROKER_MANAGEMENT_URI": broker.management_uri(HUB),
            "KOPURO_HTTP_ADDRESS": f"{LOOPBACK}:{ports.http}",
            "KOPURO_OPERATIONS_ADDRESS": f"{LOOPBACK}:{ports.operations}",
            "KOPURO_HUB": HUB,
            "KOPURO_DISCOVERY": str(self._files.discovery),
            "KOPURO_GATEWAY_KEY": str(self._files.key(GATEWAY)),
        }
        environment |= self.passed_on()
        own = {name: value for name, value in environment.items() if name.startswith("KOPURO_")}
        write_environment(self._files.environments / f"{GATEWAY}.env", own)
        return ServiceProcess(
            GATEWAY,
            [sys.executable, "-m", "runtime", f"services.{GATEWAY}"],
            environment=environment,
            log=self._files.log(GATEWAY),
        )

    def partners(self) -> ServiceProcess:
        """Return the process that plays the organisations with fixed behaviour."""
        return ServiceProcess(
            "partners",
            [
                sys.executable,
                "-m",
                "sandbox.partners",
                self._files.discovery_address(),
                str(self._files.credentials),
            ],
            environment=self.inherited(),
            log=self._files.log("partners"),
        )

    def _service_key(self, service: str) -> Path:
        try:
            return current_key_file(self._files.manifest.parent, service)
        except InvalidArgumentError as error:
            raise HubError(f"the keys of {service} cannot be used: {error}") from error

    def database_url(self, service: str) -> str:
        """Return the URL of a service's database."""
        template = self._environment.get("KOPURO_DATABASE_TEMPLATE")
        return (
            template.replace("{service}", service) if template else sqlite_url(self._files.database(service))
        )

    def tls(self, server: str) -> TlsFiles | None:
        """Return the files for TLS to a server, if the environment names any. Raises HubError."""
        try:
            return tls_files(server, self._environment)
        except UnusableTlsFiles as error:
            raise HubError(str(error)) from None

    def passed_on(self) -> dict[str, str]:
        """Return the settings of services that the environment changes."""
        return {name: value for name in _PASSED_ON if (value := self._environment.get(name))}

    def inherited(self) -> dict[str, str]:
        """Return the variables that every process gets from the environment."""
        names = [*_INHERITED]
        # A private broker and SQLite files use no TLS.
        for server, address in ((BROKER, "KOPURO_AMQP_URI"), (DATABASE, "KOPURO_DATABASE_TEMPLATE")):
            if self._environment.get(address):
                names += variables(server).values()
        return {name: self._environment[name] for name in names if name in self._environment}
