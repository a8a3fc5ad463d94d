"""The broker of an embedded hub: its identity and its files in the data directory."""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from contracts.broker_rights import GATEWAY, PARTNERS_VHOST, user_name

LOOPBACK = "127.0.0.1"
DEFAULT_VHOST = "kopuro"


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerIdentity:
    """The properties of a node that a restart from its data directory keeps.

    RabbitMQ stores its data under the node's name, and clients reconnect to the same port.
    """

    node: str
    amqp_port: int
    distribution_port: int
    user: str
    """The node's administrator, which no service knows."""
    password: str = field(repr=False)
    cookie: str = field(repr=False)
    """Erlang's shared secret: it gives full control of the node."""
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The passwords of the hub's users (`contracts.broker_rights.USERS`); empty if there is no hub."""
    management_port: int | None = None
    """The port of the management API; None if the node has none."""

    @classmethod
    def invented(cls, *, amqp_port: int, distribution_port: int) -> "BrokerIdentity":
        """Return a new identity with random credentials."""
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
        """Parse the output of `to_json`. Raises ValueError for any other text."""
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"not a broker identity: {error}") from None

    def to_json(self) -> str:
        """Return JSON that contains the secrets: store it with mode 0600."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def on_ports(
        self, amqp_port: int, distribution_port: int, management_port: int | None = None
    ) -> "BrokerIdentity":
        return replace(
            self,
            amqp_port=amqp_port,
            distribution_port=distribution_port,
            management_port=management_port,
        )

    def with_passwords(self, users: Iterable[str]) -> "BrokerIdentity":
        """Return the identity with a password for each user; known ones stay."""
        return replace(
            self, passwords={user: self.passwords.get(user) or secrets.token_urlsafe(24) for user in users}
        )

    def uri(self, vhost: str = DEFAULT_VHOST) -> str:
        """Return the administrator's AMQP URI of a virtual host, including credentials."""
        return self._uri(self.user, self.password, vhost)

    def uri_of(self, hub: str, user: str) -> str:
        """Return the AMQP URI of one of `passwords`' users. Raises KeyError for another user."""
        return self._uri(user_name(hub, user), self.passwords[user], DEFAULT_VHOST)

    def partners_uri(self, hub: str) -> str:
        """Return the gateway's AMQP URI of the partners' virtual host."""
        return self._uri(user_name(hub, GATEWAY), self.passwords[GATEWAY], PARTNERS_VHOST)

    def management_uri(self, hub: str) -> str:
        """Return the gateway's URI of the management API. The node must have one."""
        user, password = (quote(text, safe="") for text in (user_name(hub, GATEWAY), self.passwords[GATEWAY]))
        return f"http://{user}:{password}@{LOOPBACK}:{self.management_port}"

    def _uri(self, user: str, password: str, vhost: str) -> str:
        user, password, vhost = (quote(text, safe="") for text in (user, password, vhost))
        return f"amqp://{user}:{password}@{LOOPBACK}:{self.amqp_port}/{vhost}"


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerFiles:
    """Paths of a node's files, all in one data directory of mode 0700."""

    root: Path

    @property
    def identity(self) -> Path:
        return self.root / "identity.json"

    @property
    def lock(self) -> Path:
        """Locked by the process that runs the node, until it ends."""
        return self.root / "lock"

    @property
    def configuration(self) -> Path:
        return self.root / "rabbitmq.conf"

    @property
    def definitions(self) -> Path:
        """The hub's exchanges, queues, bindings and users, imported at every start of the node."""
        return self.root / "definitions.json"

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
        """Erlang reads it from the home directory and requires mode 0400 or 0600."""
        return self.home / ".erlang.cookie"

    @property
    def at_start(self) -> Path:
        """Erlang evaluates this file in the home directory before anything else starts."""
        return self.home / ".erlang"

    @property
    def mnesia(self) -> Path:
        return self.root / "mnesia"

    @property
    def unused(self) -> Path:
        """An empty file that exists until the node has started once: until then nobody has used it."""
        return self.root / "unused"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def output(self) -> Path:
        """Standard output and error; shows failures before the node's log is open."""
        return self.logs / "output.log"

    @property
    def log(self) -> Path:
        return self.logs / "rabbit.log"
