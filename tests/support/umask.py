"""The umask of this process and of the processes that it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# None; Debian's for ordinary users; Debian's for root; those of hardened systems, as CIS recommends.
UMASKS: Final = (0o000, 0o002, 0o022, 0o027, 0o077)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Set the umask inside the block."""
    previous = os.umask(mask)
    try:
        yield
    finally:
        os.umask(previous)
