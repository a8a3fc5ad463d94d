"""The channels of the partners' virtual host in the AsyncAPI document: a queue, and an exchange."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from contracts.broker_rights import PARTNERS_VHOST
from contracts.facts import Fact
from contracts.idempotency_key import MAXIMUM_KEY
from contracts.jose import LONGEST_SEALED
from docs.submission_schemas import message_schema
from services.gateway.domain.partner import exchange_of, queue_of
from services.gateway.domain.window import CAPACITY

SERVER: Final = "partners"
QUEUE: Final = "partners-queue"
SUBMISSIONS: Final = "partners-submit"
SCHEMA_FORMAT: Final = "application/schema+json;version=2020-12"
_SUBMISSION: Final = "submission"
_PARAMETER: Final = "{organization}"

Json = dict[str, Any]


def server() -> Json:
    """Return the broker. Its operator gives the address to each organisation that connects."""
    return {
        "host": "{broker}",
        "pathname": f"/{PARTNERS_VHOST}",
        "protocol": "amqps",
        "protocolVersion": "0.9.1",
        "description": "The partners' virtual host",
        "variables": {
            "broker": {
                "default": "amqp.hub.example",
                "description": "The host, and a port that is not 5671, that the operator named.",
            }
        },
        "security": [{"$ref": "#/components/securitySchemes/broker"}],
    }


def security_scheme() -> Json:
    """Return how a program authenticates at the broker."""
    return {
        "type": "userPassword",
        "description": "The organisation's id, and the password that the operator gave it.",
    }


def channels(kinds: Sequence[type[Fact]]) -> dict[str, Json]:
    """Return the channels. kinds: the messages of a mailbox."""
    parameters = {"organization": {"description": "The organisation's id, such as `kg.osh-legal-aid`."}}
    servers = [{"$ref": f"#/servers/{SERVER}"}]
    return {
        QUEUE: {
            "address": queue_of(_PARAMETER),
            "title": "The mailbox over AMQP",
            "description": (
                f"A window of at most {CAPACITY} messages on the mailbox, in its order. `message_id` and"
                " `type` of a message are those of the CloudEvent. Acknowledge each message after it has been"
                " processed; it may come again with its `id`."
            ),
            "servers": servers,
            "parameters": parameters,
            "messages": {
                kind.routing_key: {"$ref": f"#/components/messages/{kind.routing_key}"} for kind in kinds
            },
            "bindings": {
                "amqp": {
                    "is": "queue",
                    "queue": {
                        "durable": True,
                        "exclusive": False,
                        "autoDelete": False,
                        "vhost": PARTNERS_VHOST,
                    },
                    "bindingVersion": "0.3.0",
                }
            },
        },
        SUBMISSIONS: {
            "address": _PARAMETER,
            "title": "Submissions over AMQP",
            "description": (
                f"The exchange `{exchange_of(_PARAMETER)}`, to which only the organisation may publish. The"
                " address is the routing key; the exchange takes any. Each submission is answered in the"
                " mailbox by `submission.admitted` or `submission.refused`."
            ),
            "servers": servers,
            "parameters": parameters,
            "messages": {"submission": _submission()},
            "bindings": {
                "amqp": {
                    "is": "routingKey",
                    "exchange": {
                        "name": exchange_of(_PARAMETER),
                        "type": "fanout",
                        "durable": True,
                        "autoDelete": False,
                        "vhost": PARTNERS_VHOST,
                    },
                    "bindingVersion": "0.3.0",
                }
            },
        },
    }


def operations(kinds: Sequence[type[Fact]]) -> dict[str, Json]:
    """Return the operations, as seen from the hub."""
    queue, submit = f"#/channels/{QUEUE}", f"#/channels/{SUBMISSIONS}"
    return {
        "deliver-partners-queue": {
            "action": "send",
            "channel": {"$ref": queue},
            "summary": "The hub copies messages of the mailbox to the organisation's queue.",
            "bindings": {"amqp": {"deliveryMode": 2, "ack": True, "bindingVersion": "0.3.0"}},
            "messages": [{"$ref": f"{queue}/messages/{kind.routing_key}"} for kind in kinds],
        },
        "receive-partners-submission": {
            "action": "receive",
            "channel": {"$ref": submit},
            "summary": "The hub takes submissions of the organisation.",
            "bindings": {"amqp": {"deliveryMode": 2, "ack": True, "bindingVersion": "0.3.0"}},
            "messages": [{"$ref": f"{submit}/messages/submission"}],
        },
    }


def _submission() -> Json:
    return {
        "name": "submission",
        "title": "A submission",
        "contentType": "application/json",
        "description": (
            "Properties: `user_id` is the organisation's id, `message_id` the idempotency key"
            f" (1 to {MAXIMUM_KEY} printable ASCII characters). `content_type` may be absent;"
            " `content_encoding` is absent, `identity` or `utf-8`; `expiration` is absent. Other properties,"
            f" and headers, have no effect. Sealed content has at most {LONGEST_SEALED} bytes."
        ),
        "payload": {
            "schemaFormat": SCHEMA_FORMAT,
            "schema": {"$ref": f"#/components/schemas/{_SUBMISSION}/schema"},
        },
    }


def schemas() -> dict[str, Json]:
    """Return the components that the channels refer to."""
    text = json.dumps(message_schema())
    text = text.replace('"#/components/schemas/', f'"#/components/schemas/{_SUBMISSION}/schema/$defs/')
    return {_SUBMISSION: {"schemaFormat": SCHEMA_FORMAT, "schema": json.loads(text)}}
