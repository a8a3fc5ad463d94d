"""The AMQP headers that more than one part of the messaging reads."""

from typing import Final

# The signature of the events in a message: a compact JWS (`signatures.statement`).
SIGNED: Final = "signed"
# The message's properties could not be decoded; this header replaces all of them.
UNDECODABLE_PROPERTIES: Final = "kopuro-undecodable-properties"
# Why a message is a dead letter. Only dead letters have it.
REASON: Final = "kopuro-reason"
