"""The loops over the mailbox in the documents outlast an outage of the hub."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest

import kopuro_client
from kopuro_client import Transport, generate_key, public_key
from tests.partners.page import blocks_of
from tests.unit.client.conftest import FakeClock
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

DOCUMENTS = Path(__file__).parents[3] / "docs"
RECEIVER = "ru.moscow-common-table"


@pytest.mark.parametrize(
    ("page", "program"),
    [
        ("integrating.md", "receive.py"),
        ("integrating/python.md", "receive.py"),
        ("integrating/python.md", "send.py"),
    ],
)
def test_documented_loop_outlasts_an_outage(
    page: str,
    program: str,
    hub: FakeHub,
    fake_clock: FakeClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The programs of the Python page ended with a traceback once the hub was away for 30 seconds."""
    key = generate_key()
    (tmp_path / "sealing-key.json").write_text(json.dumps(key), encoding="utf-8")
    shutil.copy(DOCUMENTS / "examples/referral.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "SEALING_KEY": "sealing-key.json",
        "DISCOVERY_URL": hub.url,
        "CLIENT_ID": "id",
        "CLIENT_SECRET": "secret",
    }.items():
        monkeypatch.setenv(f"KOPURO_{name}", value)
    monkeypatch.setattr("sys.argv", [program, RECEIVER])
    monkeypatch.setattr(
        kopuro_client,
        "Transport",
        functools.partial(Transport, sleep=fake_clock.sleep, clock=fake_clock.clock),
    )
    receiver = {"id": RECEIVER, "sealing_key": public_key(key)}
    hub.script("GET", f"/directory/v1/organizations/{RECEIVER}", json_response(receiver))
    hub.script("POST", "/intake/v1/referrals", json_response({"id": "r1", "status": "requested"}, status=202))
    message = {"id": "m1", "type": "kopuro.of.tomorrow.v9", "data": {}}
    away = problem(503, "unavailable", "T")
    away = Response(status=503, body=away.body, headers={**away.headers, "Retry-After": "40"})
    hub.script(
        "GET",
        "/delivery/v1/mailbox",
        away,
        away,
        json_response({"items": [message], "next": None, "resume": "1"}),
        Response(status=500),
    )
    hub.script("POST", "/delivery/v1/mailbox/m1/acknowledge", Response(status=204))

    [text] = [block.text for block in blocks_of(DOCUMENTS / page) if block.file == program]
    with pytest.raises(Exception, match="500"):  # how this test ends the loop
        exec(compile(text, f"{page}: {program}", "exec"), {})  # noqa: S102  # our own documents
    assert fake_clock.slept == [40.0, 40.0]
    assert len(hub.requests_to("/delivery/v1/mailbox/m1/acknowledge")) == 1
    assert "responds again after 80 seconds" in capsys.readouterr().err
