"""The measured systems: processes that accept referrals over HTTP, our hub or a peer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.keepalive import Endpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Doors:
    """The addresses of the two services that partners use."""

    intake: Endpoint
    delivery: Endpoint


class System(Protocol):
    """A system in its own directory and virtual host, started and stopped once a round."""

    name: str
    # The message after which an acceptor starts to work: with sealed cases, the release of the case.
    work_begins_with: str

    def start(self) -> None:
        """Start, and return when every process is ready."""

    def stop(self) -> None: ...

    def doors(self) -> Doors: ...

    def token(self, organization: str) -> str:
        """Return a bearer token of an organisation."""

    def custody_key(self) -> Mapping[str, str]:
        """Return the public JWK to which cases are sealed."""

    def pids(self) -> Mapping[str, int]: ...

    def databases(self) -> Mapping[str, Path]:
        """Return the SQLite files by service; none with another database."""

    def audited(self, fact_type: str) -> int:
        """Return the number of committed audit entries of this CloudEvents type."""

    def published(self) -> int:
        """Return the number of messages that all processes have published and confirmed so far."""
