"""The JSON Schema of the body of a webhook request, which delivery sends to an endpoint of a partner.

The body names a message of the mailbox and says nothing about a person.
"""

from __future__ import annotations

from typing import Any, Final

CHALLENGE: Final = "kopuro.webhook.challenge"
TEST: Final = "kopuro.webhook.test"

_TEXT: Final = {"type": "string", "minLength": 1}
# The members of `data`, by the type of the request; `notice` stands for every type of message.
_DATA: Final = {
    "challenge": {
        "description": "The first request to an endpoint. Answer 200 with `challenge` in a JSON object.",
        "properties": {"endpoint_id": _TEXT, "challenge": _TEXT},
        "required": ["challenge", "endpoint_id"],
    },
    "test": {
        "description": "A test that the owner of the endpoint asked for.",
        "properties": {"endpoint_id": _TEXT},
        "required": ["endpoint_id"],
    },
    "notice": {
        "description": (
            "A new message of the mailbox. id: of the message. referral_id: absent if the message is about no"
            " referral. mailbox: the URL at which the mailbox returns exactly this message."
        ),
        "properties": {"id": _TEXT, "referral_id": _TEXT, "mailbox": {**_TEXT, "format": "uri"}},
        "required": ["id", "mailbox"],
    },
}


def webhook_schema() -> dict[str, Any]:
    """Return the schema; open, because later versions may add members."""
    return {
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "pattern": r"^kopuro\.[a-z_]+\.[a-z_]+(\.v[1-9][0-9]*)?$",
                "description": "The type of the message, or of a challenge or a test.",
            },
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "When the request was queued: the same for every attempt.",
            },
            "data": {"type": "object"},
        },
        "required": ["data", "timestamp", "type"],
        "if": {"properties": {"type": {"const": CHALLENGE}}},
        "then": {"properties": {"data": _DATA["challenge"]}},
        "else": {
            "if": {"properties": {"type": {"const": TEST}}},
            "then": {"properties": {"data": _DATA["test"]}},
            "else": {"properties": {"data": _DATA["notice"]}},
        },
    }
