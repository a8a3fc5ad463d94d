"""What is measured: a system of processes that takes referrals over HTTP, ours or a peer."""

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
    # The message on which an acceptor sets to work: where cases are sealed, the case's release.
    work_begins_with: str

    def start(self) -> None:
        """Returns when every process is ready."""

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
        """How many events of this CloudEvents type the audit service has committed."""

    def published(self) -> int:
        """Messages published and confirmed so far, by all processes."""
