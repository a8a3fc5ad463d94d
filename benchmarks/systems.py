"""The measured systems: processes that accept referrals over HTTP, our hub or a peer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.keepalive import Endpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Doors:
    """The two services that partners speak to."""

    intake: Endpoint
    delivery: Endpoint


class System(Protocol):
    """Started and stopped once a round, in a directory and a virtual host of its own."""

    name: str
    # The message after which an acceptor starts to work: with sealed cases, the release of the case.
    work_begins_with: str

    def start(self) -> None:
        """Start, and return when every process is ready."""

    def stop(self) -> None: ...

    def doors(self) -> Doors: ...

    def token(self, organization: str) -> str:
        """The bearer token of an organisation."""

    def custody_key(self) -> Mapping[str, str]:
        """The public JWK that a case is sealed to."""

    def pids(self) -> Mapping[str, int]: ...

    def databases(self) -> Mapping[str, Path]:
        """The SQLite files by service; none where the database is another."""

    def audited(self, fact_type: str) -> int:
        """Return the number of committed audit entries of this CloudEvents type."""

    def published(self) -> int:
        """Messages published and confirmed so far, by all processes."""
