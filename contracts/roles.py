"""The roles of callers in words, for refusals that say who may make a request."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

# In the order of a sentence.
_WORDS: Final = {
    "partner": "an organisation of the network",
    "gateway": "the gateway",
    "coordinator": "a coordinator",
    "operator": "an operator",
    "auditor": "an auditor",
}


def in_words(roles: Collection[str]) -> str:
    """Return who has one of the roles: `a coordinator or an operator`. An unknown role is named as it is."""
    known = [words for role, words in _WORDS.items() if role in roles]
    named = [*known, *(f"a client with the role {role}" for role in sorted(roles) if role not in _WORDS)]
    return " or ".join(filter(None, (", ".join(named[:-1]), named[-1])))
