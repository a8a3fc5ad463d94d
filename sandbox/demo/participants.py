"""The demo's participants: organisations, coordinator and auditor, each a client with its own credentials."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from kopuro_client import Kopuro, Transport

# A hub on a busy machine delivers within a second; after this long something is wrong.
MESSAGE_TIMEOUT_SECONDS = 30.0


class DemoError(Exception):
    """A story did not go as expected. The text names what is missing and for whom."""


class Participant:
    """One organisation's system: a client of the public API that reads its mailbox."""

    def __init__(self, participant_id: str, name: str, hub: Kopuro) -> None:
        self.id = participant_id
        self.name = name
        self.hub = hub
        self._unread: list[Mapping[str, Any]] = []

    def await_message(
        self, fact: str, referral_id: str, *, timeout: float = MESSAGE_TIMEOUT_SECONDS
    ) -> Mapping[str, Any]:
        """Return the data of the next message of type `fact` about the referral, and acknowledge it.

        timeout: seconds. Raises DemoError when no such message arrives in time.
        """
        deadline = time.monotonic() + timeout
        message_type = f"kopuro.{fact}.v1"
        while True:
            for message in self._unread:
                data = message["data"]
                if message["type"] == message_type and data.get("referral_id") == referral_id:
                    self._unread.remove(message)
                    return cast(Mapping[str, Any], data)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise DemoError(f"{self.id} waited {timeout:.0f} s for {fact} of {referral_id}")
            for arrived in self.hub.mailbox(wait=min(10.0, max(1.0, remaining)))["items"]:
                self._unread.append(cast(Mapping[str, Any], arrived))
                self.hub.acknowledge(arrived["id"])


class Participants:
    """The participants by id, each connected on first use."""

    def __init__(self, discovery: str, people: Mapping[str, Any], names: Mapping[str, str]) -> None:
        """people: the content of `credentials.json`. names: of organisations, by id."""
        self._discovery = discovery
        self._people = people
        self._names = names
        self._transport = Transport()
        self._participants: dict[str, Participant] = {}

    def organization(self, organization_id: str) -> Participant:
        """Return the participant of an organisation."""
        if organization_id not in self._participants:
            credentials = self._people["organizations"][organization_id]
            hub = self._client(credentials, sealing_key=credentials["sealing_key"])
            name = self._names[organization_id]
            self._participants[organization_id] = Participant(organization_id, name, hub)
        return self._participants[organization_id]

    def staff(self, role: str) -> Kopuro:
        """Return a client for `coordinator` or `auditor`."""
        return self._client(self._people[role], sealing_key=None)

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def _client(self, credentials: Mapping[str, Any], *, sealing_key: Any) -> Kopuro:
        return Kopuro.discover(
            self._discovery,
            credentials["client_id"],
            credentials["client_secret"],
            sealing_key=sealing_key,
            transport=self._transport,
        )
