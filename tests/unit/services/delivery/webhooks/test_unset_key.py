from __future__ import annotations

from typing import Any, cast

import pytest

from contracts.errors import Refused
from services.delivery.bootstrap import DeliveryParts


def test_hub_without_webhook_key_refuses_webhooks() -> None:
    unused = cast(Any, None)
    parts = DeliveryParts(
        mailbox=unused,
        consumers=unused,
        triggers=unused,
        submission_answers=unused,
        tracing=unused,
        reads=unused,
        fetches=unused,
        owners=None,
        events=unused,
        sealed_messages=unused,
        directory=unused,
    )
    with pytest.raises(Refused, match="sends no webhooks") as refused:
        _ = parts.webhooks
    assert refused.value.status == 403
