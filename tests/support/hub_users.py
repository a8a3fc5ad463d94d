"""The definitions of a hub on a broker that tests share, with a user for each service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from admin.broker_definitions import definitions, new_password
from contracts.broker_rights import USERS, user_name
from sandbox.broker import PrivateBroker


def imported(
    broker: PrivateBroker,
    vhost: str,
    directory: Path,
    *,
    hub: str = "kg",
    passwords: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Import a hub's definitions into a virtual host; return each user's URI. vhost: its URI.

    It replaces `rabbitmqctl import_definitions`, which needs epmd.
    """
    chosen = passwords or {user: new_password() for user in USERS}
    address, _, name = vhost.rpartition("/")
    file = directory / "definitions.json"
    file.write_text(json.dumps(definitions(vhost=name, hub=hub, passwords=chosen)), encoding="utf-8")
    broker.evaluate(
        f'{{ok, Body}} = file:read_file("{file}"), ok = rabbit_definitions:import_raw(Body)', timeout=60
    )
    host = address.rpartition("@")[2]
    return {user: f"amqp://{user_name(hub, user)}:{chosen[user]}@{host}/{name}" for user in USERS}
