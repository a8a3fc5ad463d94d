"""No parameter and no member that may hold a time makes a hub fail, however far from the present it is."""

from __future__ import annotations

import pytest

from tests.openapi.documented import PARTNER
from tests.openapi.extreme_times import ExtremeTimes


@pytest.mark.timeout(300)  # starts the hub and plays the scenario, with more than a thousand requests
def test_times_at_the_ends_of_the_calendar_cause_no_server_error(played: ExtremeTimes) -> None:
    api = played
    for name in sorted(api.operations.keys() - api.asked):
        api.press(name, api.someone(name, PARTNER))
    assert api.failed == []
    assert {
        ("routing_statement", "week"),
        ("routing_report", "week"),
        ("routing_monthly_statement", "month"),
        ("delivery_mailbox", "after"),
        ("audit_export", "from"),
    } <= api.parameters
    assert {
        ("intake_submit", ("consent", "given_at")),
        ("directory_put_organization", ("services", 0, "capacity", "updated_at")),
        ("routing_extend", ("until",)),
        ("delivery_put_consumer", ("start",)),
        ("directory_rotate_credential", ("expires_at",)),
    } <= api.members
