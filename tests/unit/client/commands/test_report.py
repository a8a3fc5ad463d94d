"""The report of an error on stderr."""

from __future__ import annotations

import json

import pytest

from kopuro_client.commands.report import report
from kopuro_client.errors import UnavailableError

TOO_OFTEN = "Your organisation has replaced its sealing key too often."


@pytest.mark.parametrize(("seconds", "said"), [(17280.0, 17280), (0.2, 1)])
def test_report_says_after_how_many_seconds_to_repeat(seconds: float, said: int) -> None:
    error = UnavailableError(TOO_OFTEN, retry_after=seconds, type="urn:kopuro:problem:too-many-requests")
    assert report(error, as_json=False) == f"kopuro: {TOO_OFTEN} [repeat after {said} s]"
    document = json.loads(report(error, as_json=True))
    assert (document["retry_after"], document["exit_status"], document["detail"]) == (said, 5, TOO_OFTEN)


@pytest.mark.parametrize("seconds", [None, 0.0])
def test_report_names_no_time_if_the_hub_gave_none(seconds: float | None) -> None:
    error = UnavailableError("The hub is unavailable.", retry_after=seconds)
    assert report(error, as_json=False) == "kopuro: The hub is unavailable."
    assert "retry_after" not in json.loads(report(error, as_json=True))
