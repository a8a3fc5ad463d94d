"""The names of all environment variables that a service process reads; it ignores every other one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from runtime.secret_files import SECRETS, SUFFIX
from runtime.tls import BROKER, DATABASE, variables

PREFIX: Final = "KOPURO_"
_OF_SETTINGS: Final = frozenset(
    PREFIX + name
    for name in (
        "AMQP_URI",
        "APPLICATIONS",
        "APPLICATION_DAYS",
        "APPLICATION_TRACE_DAYS",
        "APPROVALS",
        "BROKER_MANAGEMENT_URI",
        "CONNECTIONS",
        "CONNECTIONS_PER_ADDRESS",
        "CUSTODY_KEY",
        "CUSTODY_MIB",
        "DATABASE_URL",
        "DIGEST",
        "DISCOVERY",
        "FACTS_DAYS",
        "GATEWAY_KEY",
        "HTTP_ADDRESS",
        "HUB",
        "HUB_KEY",
        "ISSUER",
        "KEY_PAUSE_SECONDS",
        "LOG_COVER_PER_MINUTE",
        "LOG_DIRECTORY",
        "LOG_SIGNING_KEY",
        "MAILBOX_DAYS",
        "MANIFEST",
        "OPERATIONS_ADDRESS",
        "POLICY",
        "PROXIES",
        "RECEIPT_SECONDS",
        "REQUESTS_PER_MINUTE",
        "RETENTION_DAYS",
        "SANDBOX",
        "SERVICE_KEY",
        "SUBMISSIONS_BURST",
        "SUBMISSIONS_PER_MINUTE",
        "TOKEN_SIGNING_KEY",
        "TRACES_ENDPOINT",
        "TRACES_RATIO",
        "TRANSIT_KEY_SECONDS",
        "VAULT_KEYS",
        "WATCH_REPORT_DAYS",
        "WEBHOOK_KEY",
        "WEBHOOK_NETWORKS",
        "WEBHOOK_REFUSED",
        "WITNESS_POLICY",
    )
)
VARIABLES: Final = _OF_SETTINGS.union(
    (secret + SUFFIX for secret in SECRETS), *(variables(server).values() for server in (BROKER, DATABASE))
)


def nearest(name: str) -> str | None:
    """Return the variable that is spelt most like `name`; None if none is."""
    found = get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in VARIABLES], n=1)
    return PREFIX + found[0] if found else None
