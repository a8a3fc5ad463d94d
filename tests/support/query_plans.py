"""What PostgreSQL says of the cost of a statement that it ran."""

from __future__ import annotations

from typing import Any


def rows_read(node: dict[str, Any]) -> float:
    """Return the rows that the nodes of a plan (`EXPLAIN ANALYZE`) produced or filtered out."""
    rows: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    loops: float = node["Actual Loops"]
    return loops * rows + sum(rows_read(part) for part in node.get("Plans", ()))
