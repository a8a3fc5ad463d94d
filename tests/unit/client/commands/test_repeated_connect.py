"""The command `kopuro organization connect --amqp` against the fake hub."""

from __future__ import annotations

import json
from pathlib import Path

from kopuro_client.client_key import generate_client_key
from tests.unit.client.commands.conftest import ORGANIZATION, Run
from tests.unit.client.fake_hub import FakeHub, problem


def test_second_connection_of_an_organization_names_the_command_that_it_needs(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    """The hub's own refusal speaks of `If-Match`, which no operator can send with this command."""
    key = tmp_path / "gateway.json"
    key.write_text(json.dumps(generate_client_key("gateway-1")[0]))
    hub.script(
        "POST",
        "/directory/v1/credentials",
        problem(428, "precondition-required", "A precondition is required"),
    )

    ran = run(
        *("organization", "connect", ORGANIZATION, "--amqp", "--gateway-key", str(key)),
        *("--management-uri", "http://kg.gateway:x@127.0.0.1:1"),
    )

    assert ran.code == 3
    assert f"`kopuro admin amqp password {ORGANIZATION}`" in ran.err
    assert "--revision" in ran.err
