"""Ids that a reader may take for another one's.

Two ids read alike if they are the same once `.`, `-` and `_` are left out, capitals are small letters, and
characters that many fonts show alike are one: `0` and `o`; `1`, `i` and `l`; `5` and `s`; `rn` and `m`; `vv`
and `w`. Client ids are ASCII, so no letter of another script can be in one.

The rule: the id of a client contains no run of words that looks like the id of another organisation, and does
not look like a client of another principal. The text after its own organisation's id and a dot is free. The
same holds when an organisation is created whose id an existing client would have.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final

from services.directory.domain.client import Client

_SEPARATORS: Final = re.compile(r"[._-]+")
_ALIKE: Final = str.maketrans("015i", "olsl")


def reading(text: str) -> str:
    """Return the same text for ids that read alike."""
    letters = _SEPARATORS.sub("", text.lower()).translate(_ALIKE)
    return letters.replace("rn", "m").replace("vv", "w")


def readings_within(text: str) -> set[str]:
    """Return how each run of adjacent words of an id reads. Words are separated by `.`, `-` or `_`."""
    words = [word for word in _SEPARATORS.split(text) if word]
    return {
        reading("".join(words[start:stop]))
        for start in range(len(words))
        for stop in range(start + 1, len(words) + 1)
    }


class KnownIds:
    """The ids of all organisations, and of all clients with their principals, revoked ones too."""

    def __init__(self, organizations: Iterable[str], clients: Mapping[str, str]) -> None:
        self.organizations = frozenset(organizations)
        self.clients = clients
        self._by_reading: dict[str, set[str]] = defaultdict(set)
        for organization in self.organizations:
            self._by_reading[reading(organization)].add(organization)

    def wrong_client(self, client: Client) -> str | None:
        """Return the rule that a client's id or principal breaks, as a sentence; None if it breaks none."""
        for text in sorted(self._readings_of(client.id, client.principal)):
            for organization in sorted(self._by_reading.get(text, set()) - {client.principal}):
                return (
                    f"The id reads like the organisation {organization}. Choose one that does not, or one "
                    "that begins with the client's own organisation and a dot."
                )
        others = self._principals.get(reading(client.id), set()) - {client.principal}
        # The id of the gateway's client is fixed, and two organisations of an earlier build may read alike.
        if others and not self._is_own(client.id, client.principal):
            return "The id reads like that of another principal's client. Choose another one."
        return None

    def wrong_organization(self, organization: str) -> str | None:
        """Return the rule that a new organisation's id breaks, as a sentence; None if it breaks none."""
        if self._by_reading.get(reading(organization), set()) - {organization}:
            return "The id reads like that of another organisation. Choose another one."
        if self._mentioned.get(reading(organization), set()) - {organization}:
            return "The id reads like a part of another principal's client id. Choose another one."
        return None

    def _readings_of(self, client_id: str, principal: str) -> set[str]:
        """Return what must not read like another organisation."""
        own = self._is_own(client_id, principal)
        found = {reading(client_id)} if own else readings_within(client_id)
        # The log names the principal too. An organisation's id may begin with another one's.
        return found if principal in self.organizations else found | readings_within(principal)

    def _is_own(self, client_id: str, principal: str) -> bool:
        """Return whether the id is the organisation's, or begins with it. Staff have no such freedom."""
        begins = client_id == principal or client_id.startswith(f"{principal}.")
        return begins and principal in self.organizations

    @cached_property
    def _principals(self) -> Mapping[str, set[str]]:
        """The principals of the clients, by how the client's id reads."""
        found: dict[str, set[str]] = defaultdict(set)
        for client_id, principal in self.clients.items():
            found[reading(client_id)].add(principal)
        return found

    @cached_property
    def _mentioned(self) -> Mapping[str, set[str]]:
        """The principals of the clients, by what their ids contain."""
        found: dict[str, set[str]] = defaultdict(set)
        for client_id, principal in self.clients.items():
            for text in self._readings_of(client_id, principal):
                found[text].add(principal)
        return found
