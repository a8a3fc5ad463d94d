"""Generator of the AsyncAPI 3.0 document: `python -m docs.asyncapi [--check]`.

It describes the messages that the hub sends to partners, from the catalogue of facts and delivery's list of
recipients: `contracts/asyncapi.json`. A way to get them is a channel (`CHANNELS`); all channels carry the
same messages in the same order. The channel of webhooks (`webhook_channel.py`) carries requests that name
messages. The channels of the partners' virtual host are in `partners_channel.py`. Exit status: 0 written, or
nothing differs; 1 with --check where the file differs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import contracts
from contracts import facts
from contracts.envelope import CONTENT_TYPE
from contracts.facts import CATALOGUE, Fact
from contracts.publish import description_of, encode_json, event_schema
from docs import partners_channel, webhook_channel
from docs.generated_file import run
from docs.openapi import VERSION
from runtime.web.discovery import PATH as DISCOVERY
from services.delivery.domain.recipients import RECIPIENTS

FILE: Final = Path(contracts.__file__).parent / "asyncapi.json"
SCHEMA_FORMAT: Final = partners_channel.SCHEMA_FORMAT

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One way to get messages. protocol: of its server; host: a name with a variable for the hub's."""

    name: str
    title: str
    description: str
    protocol: str
    address: str
    host: str
    bindings: Mapping[str, Any]


CHANNELS: Final = (
    Channel(
        name="mailbox",
        title="The mailbox over HTTP",
        description=(
            "Every message for an organisation, in one order. A message stays until it is acknowledged"
            " (`POST /v1/mailbox/{message_id}/acknowledge`), and may come again with its `id`. The OpenAPI"
            " document describes the requests."
        ),
        protocol="https",
        address="/v1/mailbox",
        host="{delivery}",
        bindings={"http": {"method": "GET", "bindingVersion": "0.3.0"}},
    ),
)


def messages() -> list[type[Fact]]:
    """Return every kind of message that a partner's mailbox can hold, by type."""
    found = {*(CATALOGUE[kind] for kind in RECIPIENTS)}
    found |= {
        facts.CaseReleased,
        facts.NoteDelivered,
        facts.EmployerReportDelivered,
        facts.AlertsCounted,
        facts.MessageClosed,
        facts.SubmissionAdmitted,
    }
    return sorted(found, key=lambda kind: kind.type)


def document() -> Json:
    """Return the AsyncAPI document."""
    kinds = messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kopuro: messages to partners",
            "version": VERSION,
            "description": (
                "Messages are CloudEvents 1.0 in structured JSON. Readers ignore unknown members, and"
                f" acknowledge unknown types. Addresses are in the hub's discovery document, {DISCOVERY}."
            ),
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            **{channel.name: _server(channel) for channel in CHANNELS},
            webhook_channel.NAME: webhook_channel.server(),
            partners_channel.SERVER: partners_channel.server(),
        },
        "channels": {
            **{channel.name: _channel(channel, kinds) for channel in CHANNELS},
            webhook_channel.NAME: webhook_channel.channel(),
            **partners_channel.channels(kinds),
        },
        "operations": {
            **{f"deliver-{channel.name}": _operation(channel, kinds) for channel in CHANNELS},
            "notify-webhook": webhook_channel.operation(),
            **partners_channel.operations(kinds),
        },
        "components": {
            "messages": {kind.routing_key: _message(kind) for kind in kinds},
            "schemas": {
                **{kind.routing_key: _schema(kind) for kind in kinds},
                **partners_channel.schemas(),
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token from `/oauth/token`.",
                },
                "broker": partners_channel.security_scheme(),
            },
        },
    }


def _server(channel: Channel) -> Json:
    return {
        "host": channel.host,
        "protocol": channel.protocol,
        "description": channel.title,
        "variables": {
            "delivery": {
                "default": "delivery.hub.example",
                "description": "The host of `delivery` in the discovery document.",
            }
        },
        "security": [{"$ref": "#/components/securitySchemes/token"}],
    }


def _channel(channel: Channel, kinds: Sequence[type[Fact]]) -> Json:
    return {
        "address": channel.address,
        "title": channel.title,
        "description": channel.description,
        "servers": [{"$ref": f"#/servers/{channel.name}"}],
        "messages": {
            kind.routing_key: {"$ref": f"#/components/messages/{kind.routing_key}"} for kind in kinds
        },
    }


def _operation(channel: Channel, kinds: Sequence[type[Fact]]) -> Json:
    return {
        "action": "send",  # as seen from the hub, which this document describes
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": "The hub delivers messages to the organisation that they are for.",
        "bindings": dict(channel.bindings),
        "messages": [{"$ref": f"#/channels/{channel.name}/messages/{kind.routing_key}"} for kind in kinds],
    }


def _message(kind: type[Fact]) -> Json:
    described = {"description": words} if (words := description_of(kind)) else {}
    return {
        "name": kind.type,
        "title": kind.routing_key,
        "contentType": CONTENT_TYPE,
        "payload": {
            "schemaFormat": SCHEMA_FORMAT,
            "schema": {"$ref": f"#/components/schemas/{kind.routing_key}/schema"},
        },
        **described,
    }


def _schema(kind: type[Fact]) -> Json:
    """Return the message's published schema, with references into this document."""
    text = json.dumps(event_schema(kind))
    text = text.replace('"#/$defs/', f'"#/components/schemas/{kind.routing_key}/schema/$defs/')
    schema = json.loads(text)
    schema.pop("$id")  # an identifier of its own would be the base of the references
    return {"schemaFormat": SCHEMA_FORMAT, "schema": schema}


def content() -> bytes:
    """Return the file's content."""
    return encode_json(document())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run("docs.asyncapi", {FILE: content}, arguments)


if __name__ == "__main__":
    sys.exit(main())
