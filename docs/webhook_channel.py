"""The channel of webhooks in the AsyncAPI document. Its address is an endpoint that a partner registers."""

from __future__ import annotations

from typing import Any, Final

from contracts.publish import webhook_document

NAME: Final = "webhook"

Json = dict[str, Any]

_HEADERS: Final = {
    "webhook-id": "The id of the message: the same for every attempt.",
    "webhook-timestamp": "The time of the attempt, in seconds since 1970.",
    "webhook-signature": (
        "Signatures of `<webhook-id>.<webhook-timestamp>.<body>`, separated by spaces: `v1,` with base64 of"
        " the HMAC-SHA256, `v1a,` with base64 of the Ed25519 signature (Standard Webhooks)."
    ),
}


def server() -> Json:
    """Return the server: the partner's own."""
    return {
        "host": "{endpoint}",
        "protocol": "https",
        "description": "The endpoint of a partner",
        "variables": {
            "endpoint": {
                "default": "cases.example.org",
                "description": "The host in the `url` of `POST /v1/webhooks`.",
            }
        },
    }


def channel() -> Json:
    """Return the channel. The partner chooses its address, so it is null here."""
    schema = webhook_document()
    schema.pop("$id")
    return {
        "address": None,
        "title": "Webhooks",
        "description": (
            "A request for each new message of the mailbox. It names the message; read and acknowledge the"
            " message in the mailbox. Answer with any 2xx status within fifteen seconds."
        ),
        "servers": [{"$ref": f"#/servers/{NAME}"}],
        "messages": {
            "request": {
                "name": "webhook",
                "title": "A webhook request",
                "contentType": "application/json",
                "headers": {
                    "type": "object",
                    "properties": {
                        name: {"type": "string", "description": words} for name, words in _HEADERS.items()
                    },
                    "required": sorted(_HEADERS),
                },
                "payload": {
                    "schemaFormat": "application/schema+json;version=2020-12",
                    "schema": schema,
                },
            }
        },
    }


def operation() -> Json:
    """Return the operation: the hub sends a request to the endpoint."""
    return {
        "action": "send",  # as seen from the hub, which this document describes
        "channel": {"$ref": f"#/channels/{NAME}"},
        "summary": "The hub notifies an endpoint of each new message of its owner's mailbox.",
        "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
        "messages": [{"$ref": f"#/channels/{NAME}/messages/request"}],
    }
