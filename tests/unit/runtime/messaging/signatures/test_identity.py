"""A service's identity: its files must fit together, and the manifest's version never decreases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.signatures import SigningKey
from runtime.messaging.signatures.identity import HubIdentity, load_identity
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from runtime.settings import Settings, SettingsError
from tests.messaging.consumer_harness import METADATA, TABLES, opened
from tests.support.hub_keys import manifest, private_key, public_key, service_environment

REQUIRED = {
    "KOPURO_AMQP_URI": "amqp://127.0.0.1",
    "KOPURO_DATABASE_URL": "sqlite:////nowhere",
    "KOPURO_HTTP_ADDRESS": "127.0.0.1:1",
    "KOPURO_OPERATIONS_ADDRESS": "127.0.0.1:2",
    "KOPURO_DISCOVERY": "/nowhere",
}


def loaded(directory: Path, service: str = "intake", hub: str = "kg") -> HubIdentity:
    files = {
        "KOPURO_SERVICE_KEY": str(directory / "service-intake.json"),
        "KOPURO_MANIFEST": str(directory / "manifest.jws"),
        "KOPURO_HUB_KEY": str(directory / "hub.public.json"),
    }
    return load_identity(Settings.from_environment({**REQUIRED, **files, "KOPURO_HUB": hub}), service)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    service_environment(tmp_path, "intake")
    return tmp_path


def test_identity_is_loaded_from_files(directory: Path) -> None:
    identity = loaded(directory)
    assert (identity.source, identity.key.kid) == ("/kg/intake", public_key("intake").kid)


def _write(name: str, text: str) -> Callable[[Path], object]:
    return lambda directory: (directory / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_write("service-intake.json", "{}"), "KOPURO_SERVICE_KEY does not name"),
        (_write("service-intake.json", json.dumps(private_key("vault"))), "does not list the key"),
        (_write("hub.public.json", "[]"), "KOPURO_HUB_KEY does not name"),
        (_write("hub.public.json", json.dumps(private_key("root"))), "KOPURO_HUB_KEY does not name"),
        (
            _write("hub.public.json", json.dumps(public_key("vault").jwk())),
            "not signed by the hub's root key",
        ),
        (_write("manifest.jws", "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")), "not signed"),
        (_write("manifest.jws", manifest().signed(private_key("thief"))), "not signed by the hub's root key"),
        (
            _write("manifest.jws", manifest("uz").signed(private_key("root"))),
            "belongs to the hub uz",
        ),
        (
            _write(
                "manifest.jws",
                manifest(services=("operations", "vault")).signed(private_key("root")),
            ),
            "does not list the key",
        ),
    ],
)
def test_files_that_do_not_fit_together_are_refused(
    directory: Path, damage: Callable[[Path], object], text: str
) -> None:
    damage(directory)
    with pytest.raises(SettingsError, match=text) as refused:
        loaded(directory)
    assert private_key("root")["d"] not in str(refused.value)


def test_key_listed_for_another_service_is_refused(directory: Path) -> None:
    with pytest.raises(SettingsError, match="for vault"):
        loaded(directory, "vault")


def test_older_manifest_is_refused_and_newer_one_remembered(database_url: str) -> None:
    def identity(version: int) -> HubIdentity:
        key = SigningKey(private_key("intake"), STATEMENT_TYPE)
        return HubIdentity(service="intake", key=key, manifest=replace(manifest(), version=version))

    with opened(database_url) as database:
        with database.write() as transaction:
            METADATA.create_all(transaction)
        for version in (2, 2, 5):
            identity(version).remember(database, TABLES.manifests)
        with pytest.raises(SettingsError, match="has version 4, and intake has used version 5"):
            identity(4).remember(database, TABLES.manifests)
        identity(5).remember(database, TABLES.manifests)
