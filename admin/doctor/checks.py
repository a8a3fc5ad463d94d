"""The checks: pure functions from observations to findings. `examined` runs all of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from admin.doctor.findings import Finding, Severity, version_finding
from admin.doctor.identity_checks import (
    announced_findings,
    file_findings,
    key_findings,
    settings_findings,
    unusable_file_findings,
)
from admin.doctor.observations import Observations, Space
from admin.doctor.server_checks import broker_findings, rights_findings, tls_findings
from kopuro_client.commands.counts import count
from runtime.storage.space import LOW, is_low_space

# Services warn of a clock from the same difference on (runtime/messaging/clocks.py).
CLOCK_TOLERANCE: Final = dt.timedelta(seconds=2)
OUTBOX_TOLERANCE: Final = dt.timedelta(minutes=5)
OLDEST_PYTHON: Final = (3, 11)
POSTGRESQL_VERSIONS: Final = (15, 18)
_MIB: Final = 1024 * 1024


def examined(seen: Observations) -> list[Finding]:
    """Return everything that is wrong, faults first, each once and with what to do."""
    checks: tuple[Callable[[Observations], Iterable[Finding]], ...] = (
        settings_findings,
        file_findings,
        unusable_file_findings,
        key_findings,
        announced_findings,
        tls_findings,
        broker_findings,
        rights_findings,
        database_findings,
        log_findings,
        space_findings,
        machine_findings,
        readiness_findings,
    )
    found = merged(finding for check in checks for finding in check(seen))
    return sorted(found, key=lambda finding: finding.severity is not Severity.fault)


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings; those that differ only in the subject become one with all subjects."""
    subjects: dict[Finding, dict[str, None]] = {}
    for finding in findings:
        subjects.setdefault(replace(finding, subject=""), {})[finding.subject] = None
    return [replace(finding, subject=", ".join(names)) for finding, names in subjects.items()]


def database_findings(seen: Observations) -> Iterator[Finding]:
    owners = {
        revision: state.service
        for state in seen.databases
        if state.revision is not None
        for revision in state.revision.known
    }
    for state in seen.databases:
        if state.fault is not None:
            yield Finding(
                check="database",
                subject=state.service,
                what=state.fault,
                remedy="start the server, and compare KOPURO_DATABASE_URL with its host, role and database",
            )
            continue
        if state.version is not None and not (
            POSTGRESQL_VERSIONS[0] <= state.version[0] <= POSTGRESQL_VERSIONS[1]
        ):
            version = f"{state.version[0]}.{state.version[1]}"
            yield version_finding(
                "PostgreSQL", version, "15 to 18", is_older=state.version[0] < POSTGRESQL_VERSIONS[0]
            )
        revision = state.revision
        owner = None if revision is None else owners.get(revision.current or "", state.service)
        if owner not in (None, state.service):
            yield Finding(
                check="schema",
                subject=state.service,
                what=f"KOPURO_DATABASE_URL names the database of {owner}",
                remedy=f"name the service's own database in {state.service}.env",
            )
            continue
        if revision is not None and revision.is_of_another_build:
            yield Finding(
                check="schema",
                subject=state.service,
                what=f"the schema is at revision {revision.current}, which this build does not know",
                remedy="use the build that migrated it, or a newer one",
            )
        elif revision is not None and revision.pending:
            yield Finding(
                check="schema",
                subject=state.service,
                what=f"the schema is at {revision.current or 'no revision'}, not at {revision.newest}",
                remedy=f"stop the service, then `kopuro admin migrate {state.service} --env DIR/env`",
            )
        if abs(state.clock_ahead) > CLOCK_TOLERANCE:
            yield Finding(
                check="clock",
                subject=f"database of {state.service}",
                what=f"its clock is {_seconds(state.clock_ahead)} this machine's",
                remedy="synchronise both hosts with NTP (chrony or systemd-timesyncd)",
            )
        if state.outbox_oldest is not None and seen.now - state.outbox_oldest > OUTBOX_TOLERANCE:
            minutes = (seen.now - state.outbox_oldest).total_seconds() / 60
            yield Finding(
                check="outbox",
                subject=state.service,
                what=f"the outbox has {count(state.outbox, 'message')} for the broker, the oldest for "
                f"{minutes:.0f} minutes",
                remedy="is the service running? Otherwise look at its /readyz (`messages`, `topology`) and "
                "at the broker's alarms (`rabbitmq-diagnostics alarms`); nothing is lost meanwhile",
            )


def log_findings(seen: Observations) -> Iterator[Finding]:
    log = seen.log
    if log is None:
        return
    if log.fault is not None:
        yield Finding(
            check="log",
            subject="audit",
            what=f"the log cannot be read: {log.fault}",
            remedy="compare KOPURO_LOG_SIGNING_KEY and KOPURO_LOG_DIRECTORY with those that wrote the log",
        )
    elif log.published is None and log.stored:
        yield Finding(
            check="log-unpublished",
            subject="audit",
            what=f"{log.directory} has no checkpoint, but the database has "
            f"{count(log.stored, 'entry', 'entries')}",
            remedy="name the directory of the published log in KOPURO_LOG_DIRECTORY; after a loss of it, "
            "start audit, which publishes the whole log again",
        )
    elif log.published is not None and log.published > (log.stored or 0):
        yield Finding(
            check="log-fork",
            subject="audit",
            what=f"the published log has {count(log.published, 'entry', 'entries')}, but the database has "
            f"{log.stored or 0}",
            remedy="do not start audit on this database: restore a backup that is not older than the "
            "published log (`kopuro admin restore`)",
        )
    elif not log.is_prefix:
        yield Finding(
            check="log-fork",
            subject="audit",
            what="the published log is not a prefix of the log in the database",
            remedy="one of them belongs to another hub or was changed: restore the database that "
            "published it",
        )


def space_findings(seen: Observations) -> Iterator[Finding]:
    for space in _low_file_systems(seen).values():
        yield Finding(
            check="disk",
            subject=", ".join(dict.fromkeys(one.subject for one in space)),
            what=f"{(space[0].free or 0) // _MIB} MiB are free on the file system of "
            f"{', '.join(dict.fromkeys(str(one.path) for one in space))}, less than {LOW // _MIB}",
            remedy="free or add space; writes fail when it is used up",
        )


def _low_file_systems(seen: Observations) -> dict[object, list[Space]]:
    """Return the places on each file system with little space left."""
    low: dict[object, list[Space]] = {}
    for space in seen.spaces:
        if space.free is not None and space.free < LOW:
            low.setdefault(space.path if space.device is None else space.device, []).append(space)
    return low


def machine_findings(seen: Observations) -> Iterator[Finding]:
    if seen.machine.python < OLDEST_PYTHON:
        version = ".".join(map(str, seen.machine.python))
        yield version_finding("Python", version, "3.11 or later", is_older=True)
    clock = seen.machine.clock
    if clock.synchronized is False:
        yield Finding(
            check="clock",
            subject="this machine",
            what="the clock is not synchronised",
            remedy="run NTP (chrony; in a container `chronyd -x`, and NTP on its host): hosts may differ by "
            "2 s at most",
        )
    elif abs(clock.ahead) > CLOCK_TOLERANCE:
        yield Finding(
            check="clock",
            subject="this machine",
            what=f"the clock is {_seconds(clock.ahead)} its time servers",
            remedy="`chronyc makestep`, or in a container on its host; then restart the services",
        )


def readiness_findings(seen: Observations) -> Iterator[Finding]:
    for service in seen.readiness:
        if service.fault is not None:
            yield Finding(
                check="service",
                subject=service.service,
                what=f"it does not answer at {service.address}: {service.fault}",
                remedy="start it, and read the end of its log",
            )
        # Each service warns of the file systems that `disk` has named.
        is_named = bool(_low_file_systems(seen))
        for severity, reasons in ((Severity.fault, service.reasons), (Severity.warning, service.warned)):
            for name, reason in reasons.items():
                if is_named and is_low_space(reason):
                    continue
                yield Finding(
                    check=f"ready-{name.replace(' ', '-')}",
                    subject=service.service,
                    what=reason,
                    remedy=f"see `{name}` under Readiness in docs/operations.md",
                    severity=severity,
                )


def _seconds(ahead: dt.timedelta) -> str:
    direction = "ahead of" if ahead > dt.timedelta(0) else "behind"
    return f"{abs(ahead.total_seconds()):.0f} s {direction}"
