"""The problem of a refused submission as the mailbox keeps it.

Over HTTP a refusal exists only in its response. Over AMQP it is a message that is kept for days. So it must
not contain names that the contract does not define: a member that the sender invented may be named after a
person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from contracts.member_names import member_names

_PLACE: Final = re.compile(r"[0-9]{1,4}")  # in a list
HIDDEN: Final = "..."


def kept_problem(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return an RFC 9457 problem whose pointers and detail have `...` for names outside the contract."""
    kept = dict(problem)
    errors = problem.get("errors")
    if not isinstance(errors, list):
        return kept
    # The longest first: a shorter one may be the beginning of it.
    pointers = sorted((error["pointer"] for error in errors), key=len, reverse=True)
    kept["detail"] = _with_shown(str(problem.get("detail", "")), pointers)
    kept["errors"] = [
        {
            **error,
            "pointer": _shown(error["pointer"]),
            "detail": _with_shown(error["detail"], pointers),
        }
        for error in errors
    ]
    return kept


def _shown(pointer: str) -> str:
    return "/".join(HIDDEN if _is_invented(name) else name for name in pointer.split("/"))


def _is_invented(name: str) -> bool:
    return name != "" and name not in member_names() and _PLACE.fullmatch(name) is None


def _with_shown(text: str, pointers: list[str]) -> str:
    for pointer in pointers:
        if _shown(pointer) != pointer:
            text = text.replace(pointer, _shown(pointer))
    return text
