"""The warning about accepted cases whose acceptors have no sealing key that the vault knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NAMED: Final = 3


def lacking_keys(cases: Mapping[str, int]) -> str | None:
    """Return the `/readyz` warning; None without such a case. cases: their number by acceptor."""
    if not cases:
        return None
    named = sorted(cases)[:_NAMED]
    others = f" and {len(cases) - len(named)} more" if len(cases) > len(named) else ""
    number = sum(cases.values())
    return (
        f"{number} accepted {'case is' if number == 1 else 'cases are'} not released: the vault knows no"
        " sealing key of"
        f" {', '.join(named)}{others}"
    )
