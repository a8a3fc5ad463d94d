"""The checks of `kopuro admin doctor`: each fault is made, and named by one check."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from admin import doctor
from admin.doctor.checks import examined
from admin.doctor.findings import Severity
from admin.doctor.observations import (
    ENVIRONMENT,
    Announced,
    BrokerLogin,
    Certificate,
    DatabaseState,
    Exported,
    FileKind,
    FileState,
    LoginFault,
    LogState,
    Machine,
    MachineClock,
    Observations,
    Readiness,
    ServiceKeys,
    ServiceSettings,
    Space,
    TlsServer,
    UnusableFile,
)
from admin.schema_revisions import SchemaRevision

NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
FILE = Path("/srv/kopuro/service-intake.json")
PUBLIC = {name: f"https://{name}.example" for name in ("intake", "directory", "routing", "delivery", "audit")}
RIGHTS = {"kg.intake": ("^$", "^kopuro", "^intake")}
CURRENT = SchemaRevision(service="intake", current="b", known=("a", "b"))

KEY = FileState(service="intake", variable="KOPURO_SERVICE_KEY", path=FILE, kind=FileKind.private, mode=0o600)
MANIFEST = replace(KEY, variable="KOPURO_MANIFEST", kind=FileKind.public, mode=0o644)
KEYS = ServiceKeys(
    service="intake",
    hub="kg",
    manifest_fault=None,
    manifest_hub="kg",
    kid="k1",
    listed_kids=("k2", "k1"),
    user="kg.intake",
    listed_user="kg.intake",
)
ANNOUNCED = Announced(
    path=Path("/srv/kopuro/discovery.json"),
    fault=None,
    hub="kg",
    expected_hub="kg",
    addresses=PUBLIC,
    custody_kid="c1",
    vault_kids=("c1",),
)
CERTIFICATE = Certificate(subject="broker", not_after=NOW + dt.timedelta(days=200))
SERVER = TlsServer(
    subject="broker", address="broker.example:5671", is_local=False, encrypted=True, certificate=CERTIFICATE
)
LOGIN = BrokerLogin(service="intake", user="kg.intake", fault=None, version="3.13.7", compares_bindings=True)
DATABASE = DatabaseState(
    service="intake",
    fault=None,
    version=(15, 18),
    revision=CURRENT,
    outbox=3,
    outbox_oldest=NOW - dt.timedelta(seconds=2),
)
SPACE = Space(subject="audit", path=Path("/srv/kopuro/log"), free=2**34)
LOG = LogState(fault=None, stored=10, published=9)
READY = Readiness(service="intake", address="127.0.0.1:9101", fault=None)
MACHINE = Machine(python=(3, 13), clock=MachineClock(synchronized=True, ahead=dt.timedelta(seconds=1)))
EXPORTED = Exported(expected=RIGHTS, present=RIGHTS)

HEALTHY = Observations(
    now=NOW,
    machine=MACHINE,
    files=(KEY, MANIFEST),
    keys=(KEYS,),
    announced=(ANNOUNCED,),
    servers=(SERVER,),
    certificates=(CERTIFICATE,),
    logins=(LOGIN,),
    exported=EXPORTED,
    databases=(DATABASE,),
    spaces=(SPACE, replace(SPACE, free=None)),
    log=LOG,
    readiness=(READY,),
)

FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "variable is not set": (
        "settings",
        {"settings": (ServiceSettings(service="vault", problems=("KOPURO_CUSTODY_KEY is not set",)),)},
    ),
    "manifest that two services share is writable by others": (
        "public-file-mode",
        {"files": tuple(replace(MANIFEST, mode=0o666, service=name) for name in ("intake", "vault"))},
    ),
    "file is missing": ("file", {"files": (replace(KEY, mode=None),)}),
    "private key is readable by a group": ("key-file-mode", {"files": (replace(KEY, mode=0o640),)}),
    "manifest is writable by others": ("public-file-mode", {"files": (replace(MANIFEST, mode=0o666),)}),
    "key file holds no key": (
        "key-file",
        {
            "unusable": (
                UnusableFile(
                    service="vault",
                    variable="KOPURO_CUSTODY_KEY",
                    path=FILE,
                    fault="does not name a file with private X25519 JWKs",
                    remedy="restore it",
                ),
            )
        },
    ),
    "manifest has a wrong signature": ("manifest", {"keys": (replace(KEYS, manifest_fault="not signed"),)}),
    "manifest belongs to another hub": ("manifest", {"keys": (replace(KEYS, manifest_hub="ru"),)}),
    "service key is not a key": ("service-key", {"keys": (replace(KEYS, kid=None),)}),
    "service key is not listed": ("service-key", {"keys": (replace(KEYS, kid="k9"),)}),
    "broker user is another service's": ("broker-user", {"keys": (replace(KEYS, user="kg.vault"),)}),
    "discovery document is no JSON": (
        "discovery",
        {"announced": (replace(ANNOUNCED, fault="JSONDecodeError"),)},
    ),
    "another hub's discovery document": (
        "discovery",
        {"announced": (replace(ANNOUNCED, hub="ru"),)},
    ),
    "discovery document lacks audit": (
        "discovery",
        {"announced": (replace(ANNOUNCED, addresses={n: u for n, u in PUBLIC.items() if n != "audit"}),)},
    ),
    "public address is plain http": (
        "discovery-tls",
        {"announced": (replace(ANNOUNCED, addresses={**PUBLIC, "audit": "http://audit.example"}),)},
    ),
    "announced custody key is not the vault's": (
        "custody-key",
        {"announced": (replace(ANNOUNCED, custody_kid="c0"),)},
    ),
    "handshake fails": ("tls", {"servers": (replace(SERVER, fault="its certificate has expired"),)}),
    "remote connection is not encrypted": ("tls-off", {"servers": (replace(SERVER, encrypted=False),)}),
    "certificate has expired": (
        "certificate-expiry",
        {"certificates": (replace(CERTIFICATE, not_after=NOW - dt.timedelta(minutes=1)),)},
    ),
    "broker is away": ("broker", {"logins": (replace(LOGIN, fault="The broker cannot be reached."),)}),
    "password is wrong": (
        "broker-login",
        {"logins": (replace(LOGIN, fault="(AccessRefused)", cause=LoginFault.refused),)},
    ),
    "virtual host is missing or closed to the user": (
        "broker-vhost",
        {"logins": (replace(LOGIN, fault="it is not let in", cause=LoginFault.vhost),)},
    ),
    "one service cannot verify the broker": (
        "tls",
        {"logins": (replace(LOGIN, fault="its certificate has expired", cause=LoginFault.tls),)},
    ),
    "nobody can verify the broker": (
        "tls",
        {
            "servers": (replace(SERVER, fault="its certificate has expired"),),
            "logins": (
                replace(
                    LOGIN, address=SERVER.address, fault="its certificate has expired", cause=LoginFault.tls
                ),
            ),
        },
    ),
    "broker has an alarm": ("broker-alarm", {"logins": (replace(LOGIN, alarms=("memory",)),)}),
    "queue is missing": ("topology", {"logins": (replace(LOGIN, missing=("audit.log",)),)}),
    "management API does not answer": (
        "management-plugin",
        {"logins": (replace(LOGIN, uncompared="The broker's management API does not answer."),)},
    ),
    "broker is too old": ("version", {"logins": (replace(LOGIN, version="3.9.13"),)}),
    "user has wrong rights": (
        "broker-rights",
        {"exported": replace(EXPORTED, present={"kg.intake": ("^$", ".*", "^intake")})},
    ),
    "user is missing": ("broker-rights", {"exported": replace(EXPORTED, present={})}),
    "service is an administrator": (
        "broker-rights",
        {"exported": replace(EXPORTED, administrators=("kg.intake",))},
    ),
    "guest exists": (
        "broker-guest",
        {"exported": replace(EXPORTED, present={**RIGHTS, "guest": (".*", ".*", ".*")})},
    ),
    "database is away": ("database", {"databases": (replace(DATABASE, fault="connection refused"),)}),
    "database is too old": ("version", {"databases": (replace(DATABASE, version=(14, 2)),)}),
    "schema is old": ("schema", {"databases": (replace(DATABASE, revision=replace(CURRENT, current="a")),)}),
    "schema comes from a newer build": (
        "schema",
        {"databases": (replace(DATABASE, revision=replace(CURRENT, current="z")),)},
    ),
    "clock of the database is behind": (
        "clock",
        {"databases": (replace(DATABASE, clock_ahead=dt.timedelta(seconds=-9)),)},
    ),
    "clock of this machine is not synchronised": (
        "clock",
        {"machine": replace(MACHINE, clock=MachineClock(synchronized=False))},
    ),
    "clock of this machine is behind its time servers": (
        "clock",
        {"machine": replace(MACHINE, clock=MachineClock(synchronized=True, ahead=dt.timedelta(seconds=-5)))},
    ),
    "database is another service's": (
        "schema",
        {
            "databases": (
                replace(DATABASE, revision=replace(CURRENT, current="y")),
                replace(
                    DATABASE,
                    service="routing",
                    revision=SchemaRevision(service="routing", current="y", known=("x", "y")),
                ),
            )
        },
    ),
    "outbox waits": (
        "outbox",
        {"databases": (replace(DATABASE, outbox_oldest=NOW - dt.timedelta(hours=1)),)},
    ),
    "disk is full": ("disk", {"spaces": (replace(SPACE, free=2**20),)}),
    "log has another key": ("log", {"log": LogState(fault="not signed with this log's key")}),
    "database is older than the log": ("log-fork", {"log": replace(LOG, published=11)}),
    "database belongs to another log": ("log-fork", {"log": replace(LOG, is_prefix=False)}),
    "log is published elsewhere": ("log-unpublished", {"log": replace(LOG, published=None)}),
    "Python is too old": ("version", {"machine": replace(MACHINE, python=(3, 10))}),
    "service does not answer": ("service", {"readiness": (replace(READY, fault="ConnectionRefusedError"),)}),
    "service is not ready": (
        "ready-publication",
        {"readiness": (replace(READY, reasons={"publication": "No checkpoint is published yet."}),)},
    ),
}
WARNINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "earlier custody key can be retired": (
        "earlier-custody-key",
        {
            "announced": (
                replace(ANNOUNCED, vault_kids=("c1", "c0"), earlier_until=NOW - dt.timedelta(minutes=1)),
            )
        },
    ),
    "variable is misspelt": (
        "unknown-variable",
        {"settings": (ServiceSettings(service="vault", problems=(), unknown={"KOPURO_HUP": "KOPURO_HUB"}),)},
    ),
    "stranger is an administrator of the broker": (
        "broker-stranger",
        {"exported": replace(EXPORTED, administrators=("stranger",))},
    ),
    "stranger has rights in the virtual host": (
        "broker-stranger",
        {"exported": replace(EXPORTED, present={**RIGHTS, "stranger": (".*", ".*", ".*")})},
    ),
    "gateway has rights in the hub's virtual host": (
        "broker-stranger",
        {
            "exported": replace(
                EXPORTED,
                present={**RIGHTS, "kg.gateway": (".*", ".*", ".*")},
                administrators=("kg.gateway",),
                own_administrators=frozenset({"kg.gateway"}),
            )
        },
    ),
    "certificate expires soon": (
        "certificate-expiry",
        {"certificates": (replace(CERTIFICATE, not_after=NOW + dt.timedelta(days=20)),)},
    ),
    "bindings are not compared": ("bindings", {"logins": (replace(LOGIN, compares_bindings=False),)}),
    "broker is newer than tried": ("version", {"logins": (replace(LOGIN, version="5.0.0"),)}),
    "PostgreSQL is newer than tried": ("version", {"databases": (replace(DATABASE, version=(19, 0)),)}),
    "service warns": ("ready-parked", {"readiness": (replace(READY, warned={"parked": "1 dead letter"}),)}),
}


def test_healthy_hub_has_no_findings() -> None:
    assert examined(HEALTHY) == []


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named_by_one_check_with_a_remedy(name: str) -> None:
    check, changed = FAULTS[name]
    (finding,) = examined(replace(HEALTHY, **changed))
    assert (finding.check, finding.severity) == (check, Severity.fault)
    assert finding.what
    assert finding.remedy


@pytest.mark.parametrize("name", WARNINGS)
def test_warning_is_named_by_one_check(name: str) -> None:
    check, changed = WARNINGS[name]
    (finding,) = examined(replace(HEALTHY, **changed))
    assert (finding.check, finding.severity) == (check, Severity.warning)


def test_every_check_in_the_source_has_a_fault_here() -> None:
    sources = Path(doctor.__file__).parent.glob("*.py")
    names = {name for file in sources for name in re.findall(r'check="([a-z-]+)"', file.read_text())}
    made: Mapping[str, tuple[str, dict[str, Any]]] = {**FAULTS, **WARNINGS}
    assert names == {check for check, _ in made.values() if not check.startswith("ready-")}


def test_faults_come_before_warnings() -> None:
    seen = replace(HEALTHY, logins=(replace(LOGIN, compares_bindings=False),), log=replace(LOG, published=11))
    assert [finding.severity for finding in examined(seen)] == [Severity.fault, Severity.warning]


def test_earlier_custody_key_for_which_cases_are_admitted_is_not_a_finding() -> None:
    announced = replace(ANNOUNCED, vault_kids=("c1", "c0"), earlier_until=NOW + dt.timedelta(hours=1))
    assert examined(replace(HEALTHY, announced=(announced,))) == []


def test_document_and_manifest_are_not_blamed_for_a_hub_that_is_not_set() -> None:
    seen = replace(HEALTHY, announced=(replace(ANNOUNCED, expected_hub=""),), keys=(replace(KEYS, hub=""),))
    assert examined(seen) == []


def test_remedy_for_a_readable_environment_file_names_its_passwords() -> None:
    file = replace(KEY, variable=ENVIRONMENT, mode=0o644)
    (finding,) = examined(replace(HEALTHY, files=(file,)))
    assert "passwords" in finding.remedy
    assert "rotate" not in finding.remedy


def test_fault_of_several_services_is_said_once_with_all_of_them() -> None:
    away = replace(LOGIN, fault="The broker cannot be reached.")
    logins = tuple(replace(away, service=name) for name in ("intake", "vault", "audit"))
    (finding,) = examined(replace(HEALTHY, logins=logins))
    assert finding.subject == "intake, vault, audit"


def test_unavailable_broker_is_not_reported_as_uncompared() -> None:
    seen = replace(HEALTHY, logins=(replace(LOGIN, fault="The broker cannot be reached."),))
    assert [finding.check for finding in examined(seen)] == ["broker"]


def test_gateway_may_be_an_administrator_of_the_broker() -> None:
    exported = replace(EXPORTED, administrators=("kg.gateway",), own_administrators=frozenset({"kg.gateway"}))
    assert examined(replace(HEALTHY, exported=exported)) == []


def test_guest_without_rights_in_the_virtual_host_is_named_too() -> None:
    seen = replace(HEALTHY, exported=replace(EXPORTED, administrators=("guest",)))
    assert [finding.check for finding in examined(seen)] == ["broker-guest"]


def test_bindings_of_an_embedded_broker_need_no_comparison() -> None:
    seen = replace(HEALTHY, is_embedded=True, logins=(replace(LOGIN, compares_bindings=False),))
    assert examined(seen) == []


def test_virtual_host_is_repaired_by_the_definitions_and_not_by_a_start_of_the_broker() -> None:
    login = replace(LOGIN, fault="the broker does not have the virtual host", cause=LoginFault.vhost)
    (finding,) = examined(replace(HEALTHY, logins=(login,)))
    assert finding.what == (
        f"{LOGIN.user} cannot log in: the broker does not have the virtual host that KOPURO_AMQP_URI names"
    )
    assert "definitions" in finding.remedy
    assert "start the broker" not in finding.remedy


def test_database_of_another_service_is_named_as_such() -> None:
    (finding,) = examined(replace(HEALTHY, **FAULTS["database is another service's"][1]))
    assert finding.what == "KOPURO_DATABASE_URL names the database of routing"


def test_full_file_system_is_named_once() -> None:
    spaces = [
        replace(SPACE, subject=name, path=Path(f"/srv/{name}"), free=2**20, device=7)
        for name in ("vault", "audit")
    ]
    elsewhere = replace(SPACE, subject="intake", free=2**40, device=8)
    warning = "only 1 MiB free beside audit, less than 256 MiB"
    readiness = (replace(READY, warned={"log directory": warning, "parked": "1 dead letter"}),)
    seen = replace(HEALTHY, spaces=(*spaces, elsewhere), readiness=readiness)
    assert [(one.check, one.subject) for one in examined(seen)] == [
        ("disk", "vault, audit"),
        ("ready-parked", "intake"),
    ]
