"""The command `kopuro admin client create`."""

from __future__ import annotations

import pytest

from admin.client_commands import default_client_id


@pytest.mark.parametrize(
    ("principal", "role", "client_id"),
    [
        ("kg.naryn-hotline", "partner", "kg.naryn-hotline"),
        ("kg.aigul", "coordinator", "aigul"),
        ("kg.aigul", "operator", "aigul"),
        ("cholpon", "auditor", "cholpon"),
        ("cholpon.b", "auditor", "cholpon.b"),
    ],
)
def test_default_id_of_the_staff_is_not_of_an_organizations_form(
    principal: str, role: str, client_id: str
) -> None:
    assert default_client_id(principal, role) == client_id
