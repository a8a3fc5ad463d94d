"""A running hub where two persons decide, and what its mailboxes and its log say about an attack."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from kopuro_client import Kopuro
from runtime.settings import TWO_PERSON
from sandbox.broker import PrivateBroker
from sandbox.hub import Hub
from sandbox.hub_files import SERVICES
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.signed_requests import send


@contextmanager
def guarded_hub(directory: Path, broker: PrivateBroker) -> Iterator[RunningHub]:
    """Run a hub with the sample network, as `kopuro up --two-person` does (some 5 s)."""
    vhost = f"guarded-{secrets.token_hex(6)}"
    environment = {**os.environ, "KOPURO_AMQP_URI": broker.add_vhost(vhost)}
    running = Hub(directory / "data", approvals=TWO_PERSON, environment=environment)
    try:
        running.start()
        databases = {service: f"sqlite:///{running.files.database(service)}" for service in SERVICES}
        yield RunningHub(running, databases=databases)
    finally:
        running.stop()
        broker.remove_vhost(vhost)


def ask(hub: RunningHub, who: str, method: str, path: str, **request: Any) -> httpx.Response:
    """Send a request to the directory as an organisation or a member of the staff: its token, its proof."""
    entry = hub.people["organizations"].get(who) or hub.people[who]
    address, secret = hub.address("directory"), entry["client_secret"]
    return send(address, method, path, token=hub.token(who), secret=secret, **request)


def read_own(hub: RunningHub, organization: str) -> dict[str, Any]:
    """Return an organisation's record as the directory has it now."""
    record: dict[str, Any] = (
        ask(hub, organization, "GET", f"/v1/organizations/{organization}").raise_for_status().json()
    )
    return record


def notice(client: Kopuro, fact: str, **members: Any) -> Mapping[str, Any]:
    """Return the data of the mailbox's message of this type with these members, once it has arrived."""

    def look() -> Mapping[str, Any] | None:
        after = None
        while True:
            page = client.mailbox(after=after, limit=200)
            for message in page["items"]:
                data: Mapping[str, Any] = message["data"]
                is_wanted = members.items() <= data.items()
                if message["type"] == f"kopuro.{fact}.v1" and is_wanted:
                    return data
            if (after := page["next"]) is None:
                return None

    return until(look, f"{fact} with {members} in the mailbox")


def on_record(hub: RunningHub, fact: str, actor: str, organization: str | None = None) -> int:
    """Return how many entries of this type the log has with that actor, once there is one."""
    auditor = hub.participants.staff("auditor")

    def look() -> int:
        page = auditor.history(
            event_type=f"kopuro.{fact}.v1", actor=actor, organization=organization, limit=200
        )
        return len(page["items"])

    return until(lambda: look() or None, f"{fact} by {actor} in the log")
