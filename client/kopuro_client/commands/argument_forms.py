"""The form of ids on the command line. A hub's refusal of a path names the parameter of a resource."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from kopuro_client.errors import InvalidArgumentError, RefusedError

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOT_FOUND: Final = 404
# The arguments that are UUIDs, in every command that has them.
_IDS: Final = frozenset({"referral", "approval", "offer"})


@contextmanager
def named_arguments(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Raise InvalidArgumentError in place of a 404 if an argument is not a UUID.

    The hub decides which ids exist; this names the wrong argument as the command does.
    """
    try:
        yield
    except RefusedError as error:
        if error.status == _NOT_FOUND:
            for name in sorted(_IDS.intersection(arguments)):
                if isinstance(arguments[name], str) and _UUID.fullmatch(arguments[name]) is None:
                    raise InvalidArgumentError(
                        f"{name.upper()} must be a lower-case UUID, such as "
                        "01930f6e-8a4b-7c2d-9e1f-0a1b2c3d4e5f"
                    ) from error
        raise
