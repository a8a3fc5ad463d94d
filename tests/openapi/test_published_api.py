"""A running hub answers as its OpenAPI document says: to each operation's success, and to generated requests.

KOPURO_OPENAPI_EXAMPLES: requests for each operation and kind (`make requests` sends many).
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from docs import openapi
from tests.long_run import times
from tests.openapi.documented import PARTNER, DocumentedHub

EXAMPLES = int(os.environ.get("KOPURO_OPENAPI_EXAMPLES", times(1, 2)))
NAMES = sorted(
    operation["operationId"]
    for item in json.loads(openapi.FILE.read_bytes())["paths"].values()
    for operation in item.values()
    if isinstance(operation, dict) and "operationId" in operation
)


# A new hub has nothing to show here: no witness cosigns its log, and its first week has not ended.
NOT_ON_A_NEW_HUB = {"audit_cosigned_checkpoint", "routing_report", "routing_statement"} | {
    "routing_monthly_statement"
}


@pytest.mark.timeout(300)  # starts the hub and plays the scenario if it runs alone
def test_every_operation_succeeds_as_documented(played: DocumentedHub) -> None:
    succeeded = {name for name, statuses in played.statuses.items() if min(statuses) < 300}
    assert set(NAMES) - succeeded <= NOT_ON_A_NEW_HUB


@pytest.mark.parametrize("name", NAMES)
def test_generated_request_gets_a_documented_answer(played: DocumentedHub, name: str) -> None:
    operation = played.operations[name]
    who = played.someone(name, PARTNER)

    @settings(
        max_examples=EXAMPLES * 2,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def send(data: Any) -> None:
        modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
        mode = data.draw(st.sampled_from(modes), label="mode")
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if case.query and "wait" in case.query:
            case.query = {**case.query, "wait": "0"}
        played.call(name, case, who)

    send()
