"""Batches of lines. The hub may take some later: it limits what an organisation submits in a minute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from kopuro_client.connection import Connection
from kopuro_client.errors import PROBLEM, UnavailableError
from kopuro_client.records import BatchResult
from kopuro_client.responses import json_lines, required_member

# Seconds in which a hub with the usual limits takes several thousand lines.
PATIENCE: Final = 1800.0
_LATER: Final = 429
_TOO_MANY: Final = frozenset({f"{PROBLEM}too-many-submissions", f"{PROBLEM}too-many-requests"})
_WAIT: Final = 10.0  # where the hub gives no time


def send_batch(
    connection: Connection,
    url: str,
    lines: Sequence[bytes],
    *,
    idempotency_key: str | None = None,
    patience: float,
) -> list[BatchResult]:
    """Send the lines, and those beyond the organisation's rate again, each at its place in the batch.

    patience: seconds; a wait that ends later is not begun, and the lines that are left keep their result 429.
    Raises what `Connection.post_lines` raises.
    """
    results: dict[int, BatchResult] = {}
    left = list(range(len(lines)))
    started = connection.clock()
    while left:
        # Empty lines keep the numbers of the others, by which the batch's key identifies them.
        sent = [b""] * (left[-1] + 1)
        for place in left:
            sent[place] = lines[place]
        try:
            body = connection.post_lines(url, sent, idempotency_key=idempotency_key)
        except UnavailableError as error:
            wait = _WAIT if error.retry_after is None else error.retry_after
            lasts = connection.clock() - started + wait <= patience
            # Nothing was read of it. The results of lines that were taken before must not be lost with this.
            if error.type not in _TOO_MANY or not (results or lasts):
                raise
        else:
            found = cast(list[BatchResult], json_lines(body, expected=len(left)))
            results.update(zip(left, found, strict=True))
            later = {place: result for place, result in zip(left, found, strict=True) if _is_later(result)}
            left = list(later)
            wait = max(map(_wait_of, later.values()), default=0.0)
        if not left or connection.clock() - started + wait > patience:
            break
        connection.sleep(wait)
    return [results[place] for place in range(len(lines))]


def _is_later(result: BatchResult) -> bool:
    return required_member(result, "status") == _LATER and result.get("problem", {}).get("type") in _TOO_MANY


def _wait_of(result: BatchResult) -> float:
    seconds = result.get("problem", {}).get("retry_after")
    return float(seconds) if isinstance(seconds, int | float) and seconds >= 0 else _WAIT
