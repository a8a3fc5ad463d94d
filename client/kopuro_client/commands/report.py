"""Error reports on stderr: one line with its details, or with --json one JSON document."""

from __future__ import annotations

import math
from typing import Any, Final

from kopuro_client.commands.exit_codes import ExitCode, exit_code_of
from kopuro_client.commands.printable import json_text, one_line
from kopuro_client.errors import CaseError, ClientError, FieldError, RefusedError, UnavailableError

URN: Final = "urn:kopuro:command:"
WHOLE: Final = "whole document"  # an empty JSON Pointer


def report(error: ClientError, *, as_json: bool) -> str:
    """Return the report of an error. as_json: as an RFC 9457 problem, the hub's own if the hub refused."""
    if isinstance(error, RefusedError) and as_json:
        return json_text(error.problem.as_json())
    if isinstance(error, RefusedError):
        return _lines(f"refused: {error} [{error.type}]", error.errors)
    if isinstance(error, CaseError):
        return _failure(exit_code_of(error), error.summary, as_json=as_json, errors=error.errors)
    wait = math.ceil(error.retry_after) if isinstance(error, UnavailableError) and error.retry_after else None
    return _failure(exit_code_of(error), str(error), as_json=as_json, retry_after=wait)


def failure(code: ExitCode, detail: str, *, as_json: bool) -> str:
    """Return the report of a failure other than a ClientError, such as an OSError."""
    return _failure(code, detail, as_json=as_json)


def _failure(
    code: ExitCode,
    detail: str,
    *,
    as_json: bool,
    errors: tuple[FieldError, ...] = (),
    retry_after: int | None = None,
) -> str:
    """retry_after: seconds, said by the hub. They may be more than the client waits for by itself."""
    if not as_json:
        return _lines(detail if retry_after is None else f"{detail} [repeat after {retry_after} s]", errors)
    problem: dict[str, Any] = {
        "type": URN + code.name.lower().replace("_", "-"),
        "title": code.name.capitalize().replace("_", " "),
        "detail": one_line(detail),
        "exit_status": int(code),
    }
    if retry_after is not None:
        problem["retry_after"] = retry_after
    if errors:
        problem["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in errors]
    return json_text(problem)


def _lines(sentence: str, errors: tuple[FieldError, ...]) -> str:
    """Return the sentence and a line for each error; only the place of one that the sentence says already."""
    said = one_line(sentence)
    lines = [f"kopuro: {said}"]
    for entry in errors:
        detail = one_line(entry.detail)
        if not said.startswith(f"refused: {detail} ["):
            lines.append(f"  {entry.pointer or WHOLE}: {detail}")
        elif entry.pointer:
            lines.append(f"  {entry.pointer}")
    return "\n".join(lines)
