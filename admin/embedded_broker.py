"""The broker of an embedded hub: its identity and its files in the data directory."""

import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

LOOPBACK = "127.0.0.1"
DEFAULT_VHOST = "kopuro"


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerIdentity:
    """What must stay the same when a node starts again from its data directory.

    RabbitMQ files its data under the node's name, and clients reconnect to the port they know.
    """

    node: str
    amqp_port: int
    distribution_port: int
    user: str
    password: str = field(repr=False)
    cookie: str = field(repr=False)
    """Erlang's shared secret: who knows it commands the node."""

    @classmethod
    def invented(cls, *, amqp_port: int, distribution_port: int) -> "BrokerIdentity":
        """A new identity with random credentials. It reads the system's entropy."""
        return cls(
            node=f"kopuro-{secrets.token_hex(4)}@localhost",
            amqp_port=amqp_port,
            distribution_port=distribution_port,
            user=f"kopuro-{secrets.token_hex(4)}",
            password=secrets.token_urlsafe(24),
            cookie=secrets.token_hex(20).upper(),
        )

    @classmethod
    def from_json(cls, text: str) -> "BrokerIdentity":
        """Read what `to_json` wrote. Raises ValueError when it is something else."""
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"not a broker's identity: {error}") from None

    def to_json(self) -> str:
        """JSON with the secrets in it: keep it in a file of mode 0600."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def on_ports(self, amqp_port: int, distribution_port: int) -> "BrokerIdentity":
        return replace(self, amqp_port=amqp_port, distribution_port=distribution_port)

    def uri(self, vhost: str = DEFAULT_VHOST) -> str:
        """The AMQP URI of a virtual host, credentials included."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"amqp://{user}:{password}@{LOOPBACK}:{self.amqp_port}/{quote(vhost, safe='')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerFiles:
    """Where a node keeps its things, all under one data directory of mode 0700."""

    root: Path

    @property
    def identity(self) -> Path:
        return self.root / "identity.json"

    @property
    def lock(self) -> Path:
        """Locked by the process that runs the node, for as long as it lives."""
        return self.root / "lock"

    @property
    def configuration(self) -> Path:
        return self.root / "rabbitmq.conf"

    @property
    def plugins(self) -> Path:
        return self.root / "enabled_plugins"

    @property
    def advanced(self) -> Path:
        return self.root / "advanced.config"

    @property
    def script_settings(self) -> Path:
        return self.root / "rabbitmq-env.conf"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def cookie(self) -> Path:
        """Erlang reads it from the home directory, and insists on mode 0400 or 0600."""
        return self.home / ".erlang.cookie"

    @property
    def at_start(self) -> Path:
        """Erlang evaluates this file of its home directory before anything else starts."""
        return self.home / ".erlang"

    @property
    def mnesia(self) -> Path:
        return self.root / "mnesia"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def output(self) -> Path:
        """Standard output and error: what went wrong before the node's own log was open."""
        return self.logs / "output.log"

    @property
    def log(self) -> Path:
        return self.logs / "rabbit.log"
