"""The checks of servers: TLS, certificates, and the broker's logins, topology and rights."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

from admin.doctor.findings import Finding, Severity, version_finding
from admin.doctor.observations import BrokerLogin, Certificate, LoginFault, Observations
from kopuro_client.commands.counts import count

# Time to order, sign and install another certificate.
EXPIRY_WARNING: Final = dt.timedelta(days=21)
BROKER_VERSIONS: Final = ((3, 10), (4, 99))
_CERTIFICATE_REMEDY: Final = (
    "install a certificate for this host name that the CA in KOPURO_BROKER_CA or KOPURO_DATABASE_CA signed, "
    "or name the right CA there; KOPURO_BROKER_CERTIFICATE names the service's own one, if the server asks "
    "for it"
)
_IMPORT: Final = "import the definitions again (`kopuro admin broker definitions`)"
_GUEST: Final = "guest"


def tls_findings(seen: Observations) -> Iterator[Finding]:
    for server in seen.servers:
        if server.fault is not None:
            yield Finding(
                check="tls",
                subject=server.subject,
                what=f"TLS to {server.address} fails: {server.fault}",
                remedy=_CERTIFICATE_REMEDY,
            )
        elif not server.encrypted and not server.is_local:
            yield Finding(
                check="tls-off",
                subject=server.subject,
                what=f"the connection to {server.address} is not encrypted and leaves this machine",
                remedy="use amqps:// for the broker, and KOPURO_DATABASE_CA for PostgreSQL",
            )
    shown = [server.certificate for server in seen.servers if server.certificate is not None]
    for certificate in dict.fromkeys((*shown, *seen.certificates)):
        yield from _expiry(certificate, seen.now)


def _expiry(certificate: Certificate, now: dt.datetime) -> Iterator[Finding]:
    left = certificate.not_after - now
    if left > EXPIRY_WARNING:
        return
    has_expired = left <= dt.timedelta(0)
    when = "has expired" if has_expired else f"expires in {count(left.days, 'day')}"
    yield Finding(
        check="certificate-expiry",
        subject=certificate.subject,
        what=f"the certificate {when} ({certificate.not_after:%Y-%m-%d %H:%M} UTC)",
        remedy="renew it; connections read the files again, so services need no restart",
        severity=Severity.fault if has_expired else Severity.warning,
    )


def broker_findings(seen: Observations) -> Iterator[Finding]:
    faulty = {server.address for server in seen.servers if server.fault is not None}
    for login in seen.logins:
        if login.fault is not None:
            # The check `tls` reports the others.
            if login.cause is not LoginFault.tls or login.address not in faulty:
                yield _login_finding(login, login.fault)
            continue
        if login.alarms:
            yield Finding(
                check="broker-alarm",
                subject="broker",
                what=f"the broker blocks publishers: it has an alarm ({', '.join(login.alarms)})",
                remedy="free memory or disk space: `rabbitmq-diagnostics alarms` names what is short, and "
                "`rabbitmqctl list_queues --vhost VHOST name messages memory` shows the full queues; "
                "messages wait in the outboxes meanwhile, and nothing is lost",
            )
        if login.missing:
            more = f" and {len(login.missing) - 5} more" if len(login.missing) > 5 else ""
            yield Finding(
                check="topology",
                subject=login.service,
                what=f"the broker lacks {', '.join(login.missing[:5])}{more}",
                remedy="import the definitions of this build (`kopuro admin broker definitions`, then "
                "`rabbitmqctl import_definitions`)",
            )
        if login.uncompared is not None:
            yield Finding(
                check="management-plugin",
                subject=login.service,
                what=f"bindings are not compared: {login.uncompared}",
                remedy="enable the plugin rabbitmq_management, and compare KOPURO_BROKER_MANAGEMENT_URI "
                "with its address and user",
            )
    # The broker of an embedded hub imports all bindings at each start.
    if seen.logins and not seen.is_embedded and not any(login.compares_bindings for login in seen.logins):
        yield Finding(
            check="bindings",
            subject="broker",
            what="no service compares the broker's bindings",
            remedy="set KOPURO_BROKER_MANAGEMENT_URI (docs/operations.md)",
            severity=Severity.warning,
        )
    for version in sorted({login.version for login in seen.logins if login.version}):
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if not BROKER_VERSIONS[0] <= numbers <= BROKER_VERSIONS[1]:
            yield version_finding("RabbitMQ", version, "3.10 to 4.x", is_older=numbers < BROKER_VERSIONS[0])


def _login_finding(login: BrokerLogin, fault: str) -> Finding:
    match login.cause:
        case LoginFault.refused:
            return Finding(
                check="broker-login",
                subject=login.service,
                what=f"{login.user} cannot log in: {fault}",
                remedy=f"compare the password in KOPURO_AMQP_URI of {login.service} with DIR/broker/, and "
                f"{_IMPORT}",
            )
        case LoginFault.vhost:
            return Finding(
                check="broker-vhost",
                subject=login.service,
                what=f"{login.user} cannot log in: {fault} that KOPURO_AMQP_URI names",
                remedy=f"{_IMPORT}, or correct the path of the URI",
            )
        case LoginFault.tls:
            return Finding(
                check="tls",
                subject=login.service,
                what=f"TLS to {login.address} fails: {fault}",
                remedy=_CERTIFICATE_REMEDY,
            )
        case LoginFault.unreachable:
            return Finding(
                check="broker",
                subject=login.service,
                what=fault,
                remedy="start the broker, and compare host and port in KOPURO_AMQP_URI with its listeners",
            )


def rights_findings(seen: Observations) -> Iterator[Finding]:
    if seen.exported is None:
        return
    remedy = "import the definitions of this build: `rabbitmqctl import_definitions`"
    for user, rights in seen.exported.expected.items():
        present = seen.exported.present.get(user)
        if present is None:
            what = f"the broker has no user {user} with rights in the hub's virtual host"
        elif present != rights:
            names = ("configure", "write", "read")
            wrong = [name for name, a, b in zip(names, present, rights, strict=True) if a != b]
            what = f"the rights of {user} are not those that it needs: {', '.join(wrong)}"
        else:
            continue
        yield Finding(check="broker-rights", subject=user, what=what, remedy=remedy)
    for user in seen.exported.administrators:
        if user in seen.exported.expected:
            yield Finding(
                check="broker-rights",
                subject=user,
                what=f"{user} is an administrator of the broker",
                remedy=f"remove its tags: `rabbitmqctl set_user_tags {user}`",
            )
    powers: dict[str, list[str]] = {}
    for user in sorted({*seen.exported.administrators} - seen.exported.own_administrators):
        powers.setdefault(user, []).append("is an administrator of the broker")
    for user in sorted(seen.exported.present):
        powers.setdefault(user, []).append("has rights in the hub's virtual host")
    for user, its in powers.items():
        if user == _GUEST or user in seen.exported.expected:
            continue
        yield Finding(
            check="broker-stranger",
            subject=user,
            what=f"{user} is not one of the hub's users, and {' and '.join(its)}",
            remedy=f"find out who uses it; unless your operators do, `rabbitmqctl delete_user {user}`",
            severity=Severity.warning,
        )
    if _GUEST in {*seen.exported.present, *seen.exported.administrators}:
        yield Finding(
            check="broker-guest",
            subject="broker",
            what="the user guest, whose password everybody knows, exists",
            remedy="`rabbitmqctl delete_user guest`",
        )
