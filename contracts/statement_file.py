"""The JSON Schema of a statement with its proofs, the file that an organisation verifies without the hub.

docs/auditing.md says what its members prove.
"""

from __future__ import annotations

from typing import Any, Final

from contracts.identifiers import UUID_PATTERN
from contracts.responses.reports import STATEMENT_CONTENT

FORMAT: Final = "kopuro-proved-statement/1"

_ID: Final = {"type": "string", "pattern": UUID_PATTERN}
_BASE64: Final = {"type": "string", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}
_COUNT: Final = {"type": "integer", "minimum": 0}


def statement_file_schema() -> dict[str, Any]:
    """Return the schema; closed, because a verifier refuses members that it does not know."""
    return _object(
        format={"const": FORMAT},
        origin={"type": "string", "description": "The name of the log."},
        log_key={"type": "string", "description": "The key that the hub names: compare it with your own."},
        statement=dict(STATEMENT_CONTENT),
        issued={**_ID, "type": ["string", "null"], "description": "The message `statement.issued`."},
        decisions={"type": "array", "items": {"oneOf": [_proved_decision(), _unproven_decision()]}},
        proofs={
            "type": "array",
            "minItems": 1,
            "items": _object(
                checkpoint={"type": "string", "description": "A signed note (C2SP tlog-checkpoint)."},
                entries={"type": "array", "items": _entry()},
            ),
        },
    )


def _proved_decision() -> dict[str, Any]:
    return _object(
        decision_id=_ID,
        message_id=_ID,
        referral_id=_ID,
        outcome={"const": "asked"},
        salt=_BASE64,
        index=_COUNT,
        size={"type": "integer", "minimum": 1},
        path={"type": "array", "items": _BASE64},
    )


def _unproven_decision() -> dict[str, Any]:
    message = {**_ID, "type": ["string", "null"]}
    return _object(decision_id=_ID, message_id=message, unproven={"enum": ["erased", "earlier_build"]})


def _entry() -> dict[str, Any]:
    return _object(
        index=_COUNT,
        leaf=_BASE64,
        proof={"type": "array", "items": _BASE64},
        head=_object(salt=_BASE64, value={"type": "object"}),
        opening=_object(salt=_BASE64, data={"type": "object"}),
    )


def _object(**members: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": members,
        "required": sorted(members),
        "additionalProperties": False,
    }
