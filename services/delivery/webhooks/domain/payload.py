"""The bodies of webhook requests. They name messages and say nothing about a person.

The receiver fetches the message from its mailbox, and that fetch is what the log records.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from services.delivery.webhooks.domain.endpoint import Endpoint
from services.delivery.webhooks.domain.notice import CHALLENGE, TEST, Notice

MEDIA_TYPE: Final = "application/json"


def body_of(notice: Notice, endpoint: Endpoint, mailbox: str) -> bytes:
    """Return the body of a notice, the same for every attempt.

    mailbox: the URL from which the message can be read, empty for a challenge or a test.
    """
    data: dict[str, Any]
    if notice.type == CHALLENGE:
        data = {"endpoint_id": endpoint.id, "challenge": endpoint.challenge}
    elif notice.type == TEST:
        data = {"endpoint_id": endpoint.id}
    else:
        data = {"id": notice.message_id, "mailbox": mailbox}
        if notice.referral_id:
            data["referral_id"] = notice.referral_id
    body = {"type": notice.type, "timestamp": notice.queued_at, "data": data}
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


def answers_challenge(answer: bytes, challenge: str) -> bool:
    """Return whether the body of an answer repeats the challenge: `{"challenge": "..."}`."""
    try:
        document = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return False
    return bool(challenge) and isinstance(document, dict) and document.get("challenge") == challenge
