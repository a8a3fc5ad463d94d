"""A finding of doctor: one thing that is wrong, and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """fault: the hub does not work, or not safely.

    warning: it will stop working unless somebody acts, or cannot be checked.
    """

    fault = "fault"
    warning = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """check: a stable name, such as `key-file-mode`. subject: a service, a server or a file."""

    check: str
    subject: str
    what: str
    remedy: str
    severity: Severity = Severity.fault


def version_finding(what: str, version: str, tried: str, *, is_older: bool) -> Finding:
    """Return the finding that a program is outside the versions that were tried: older is a fault."""
    return Finding(
        check="version",
        subject=what,
        what=f"{what} {version} is {'too old' if is_older else 'newer than those tried'}",
        remedy=f"Kopuro is tried with {tried}",
        severity=Severity.fault if is_older else Severity.warning,
    )
