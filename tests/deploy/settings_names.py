"""The names of the services' settings, as their code has them."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.secret_files import SECRETS, SUFFIX
from runtime.tls import BROKER, DATABASE, variables
from sandbox.hub_files import SERVICES as SERVICES

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"

_NAME = re.compile(r"KOPURO_[A-Z_]+[A-Z]")
# Read by one service only.
OF_ONE_SERVICE = {
    "KOPURO_CUSTODY_KEY": "vault",
    "KOPURO_VAULT_KEYS": "vault",
    "KOPURO_TOKEN_SIGNING_KEY": "directory",
    "KOPURO_LOG_SIGNING_KEY": "audit",
    "KOPURO_LOG_DIRECTORY": "audit",
    "KOPURO_WEBHOOK_KEY": "delivery",
}


def settings() -> frozenset[str]:
    """Return the name of every variable that a service reads."""
    names = set(_NAME.findall((ROOT / "runtime" / "settings.py").read_text(encoding="utf-8")))
    names |= {name + SUFFIX for name in SECRETS}
    return frozenset(names.union(variables(BROKER).values(), variables(DATABASE).values()))


def required() -> frozenset[str]:
    """Return the names of the settings without which no service starts."""
    source = (ROOT / "runtime" / "settings.py").read_text(encoding="utf-8")
    return frozenset(re.findall(r'required\("(KOPURO_[A-Z_]+)"', source))


def missing(service: str, given: frozenset[str]) -> set[str]:
    """Return what the service needs and is not given, itself or as a file, and what it does not use."""
    wanted = {*required(), *(name for name, owner in OF_ONE_SERVICE.items() if owner == service)}
    there = {name.removesuffix(SUFFIX) if name.removesuffix(SUFFIX) in SECRETS else name for name in given}
    foreign = {name for name, owner in OF_ONE_SERVICE.items() if owner != service} & there
    return (wanted - there) | foreign | (set(given) - settings())
