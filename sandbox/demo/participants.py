"""Who plays: organisations, the coordinator, the auditor, each with its own credentials, nothing else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from kopuro_client import Kopuro, Transport

# A hub on a busy machine answers in a second; past this something is wrong, and the demo says what.
PATIENCE_SECONDS = 30.0


class Missed(Exception):
    """What the story needs did not come; the text says what, and for whom."""


class Participant:
    """One organisation's system: a client of the public API that reads its mailbox."""

    def __init__(self, player_id: str, name: str, hub: Kopuro) -> None:
        self.id = player_id
        self.name = name
        self.hub = hub
        self._unread: list[Mapping[str, Any]] = []

    def await_message(
        self, fact: str, referral_id: str, *, within: float = PATIENCE_SECONDS
    ) -> Mapping[str, Any]:
        """The data of the next message of that kind about the referral, acknowledged. Raises Missed."""
        deadline = time.monotonic() + within
        wanted = f"kopuro.{fact}.v1"
        while True:
            for message in self._unread:
                data = message["data"]
                if message["type"] == wanted and data.get("referral_id") == referral_id:
                    self._unread.remove(message)
                    return cast(Mapping[str, Any], data)
            left = deadline - time.monotonic()
            if left <= 0:
                raise Missed(f"{self.id} waited {within:.0f} s for {fact} of {referral_id}")
            for arrived in self.hub.mailbox(wait=min(10.0, max(1.0, left)))["items"]:
                self._unread.append(cast(Mapping[str, Any], arrived))
                self.hub.acknowledge(arrived["id"])


class Participants:
    """Everybody who has credentials. A player enters when first called for."""

    def __init__(self, discovery: str, people: Mapping[str, Any], names: Mapping[str, str]) -> None:
        """people: what `credentials.json` says; names: of organisations, by their id."""
        self._discovery = discovery
        self._people = people
        self._names = names
        self._transport = Transport()
        self._players: dict[str, Participant] = {}

    def organization(self, organization_id: str) -> Participant:
        """The player of an organisation."""
        if organization_id not in self._players:
            credentials = self._people["organizations"][organization_id]
            hub = self._client(credentials, sealing_key=credentials["sealing_key"])
            name = self._names[organization_id]
            self._players[organization_id] = Participant(organization_id, name, hub)
        return self._players[organization_id]

    def staff(self, role: str) -> Kopuro:
        """The coordinator or the auditor."""
        return self._client(self._people[role], sealing_key=None)

    def leave(self) -> None:
        """Closes every connection."""
        self._transport.close()

    def _client(self, credentials: Mapping[str, Any], *, sealing_key: Any) -> Kopuro:
        return Kopuro.discover(
            self._discovery,
            credentials["client_id"],
            credentials["client_secret"],
            sealing_key=sealing_key,
            transport=self._transport,
        )
