"""Values that the log API and the report API share: entry indices and base64 digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.web.paging import integer_of
from runtime.web.parameters import invalid_parameter

_LARGEST: Final = 10**12 - 1  # whole numbers in a query have at most twelve digits


def entry_number(values: Mapping[str, str], name: str) -> int:
    """Return the entry index or tree size in parameter `name`. Raises Refused `invalid-parameter`."""
    if name not in values:
        raise invalid_parameter(name, "is required.")
    return integer_of(values, name, default=0, minimum=0, maximum=_LARGEST)
