from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.settings import Address, Settings
from runtime.web.paging import NUMBER, decode_cursor
from services.delivery.handlers import mailbox_cursors
from services.delivery.webhooks.adapters.hub_addresses import HubAddresses

ADDRESSES = {"hub.example": "93.184.216.34", "broker.internal": "10.0.0.5", "database.internal": "10.0.0.6"}


def _resolve(host: str, port: int) -> Sequence[Any]:
    if host == "unknown.internal":
        raise socket.gaierror
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ADDRESSES.get(host, host), port))]


def _settings(directory: Path) -> Settings:
    return Settings(
        amqp_uri="amqps://user:secret@broker.internal/vhost",
        database_url="postgresql+psycopg2://user:secret@database.internal/delivery",
        http_address=Address(host="0.0.0.0", port=8003),
        operations_address=Address(host="127.0.0.1", port=9003),
        hub="kg",
        discovery=directory / "discovery.json",
        service_key=Path(),
        manifest=Path(),
        hub_key=Path(),
        broker_management_uri="http://user:secret@unknown.internal:15672",
        webhook_refused=(Address(host="127.0.0.1", port=9004),),
    )


def test_places_are_those_of_settings_and_discovery(tmp_path: Path) -> None:
    services = {"intake": "https://hub.example/intake", "delivery": "http://hub.example:8080"}
    (tmp_path / "discovery.json").write_text(json.dumps({"services": services}))
    assert HubAddresses(_settings(tmp_path), _resolve)() == {
        ("127.0.0.1", 8003),
        ("127.0.0.1", 9003),
        ("127.0.0.1", 9004),
        ("10.0.0.5", 5671),
        ("10.0.0.6", 5432),
        ("93.184.216.34", 443),
        ("93.184.216.34", 8080),
    }


def test_mailbox_url_reads_from_just_before_the_message(tmp_path: Path) -> None:
    places = HubAddresses(_settings(tmp_path), _resolve)
    assert places.mailbox_url("kg.osh", 7).startswith("/v1/mailbox?from=")
    (tmp_path / "discovery.json").write_text(json.dumps({"services": {"delivery": "https://hub.example/d/"}}))
    url, _, rest = places.mailbox_url("kg.osh", 7).partition("?from=")
    assert url == "https://hub.example/d/v1/mailbox"
    assert decode_cursor(mailbox_cursors("kg.osh"), rest.removesuffix("&limit=1"), (NUMBER,)) == (6,)
