"""Roles in the words of refusals."""

from __future__ import annotations

import pytest

from contracts.roles import in_words


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({"operator"}, "an operator"),
        ({"operator", "partner"}, "an organisation of the network or an operator"),
        ({"auditor", "operator", "coordinator"}, "a coordinator, an operator or an auditor"),
        ({"registrar"}, "a client with the role registrar"),
    ],
)
def test_roles_are_named_as_those_who_have_them(roles: set[str], words: str) -> None:
    assert in_words(roles) == words
