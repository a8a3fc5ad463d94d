"""The counters of addresses: what callers without a token are counted in."""

from __future__ import annotations

from typing import Final

# Addresses share counters: invented ones cost neither memory nor time.
_COUNTERS: Final = 4096


def counter_of(address: str) -> str:
    """Return the name of an address's counter. No organisation has it as its id."""
    # Python's hash has a key of its own in each process: nobody can choose an address that shares another's.
    # No id of an organisation contains a space.
    return f"address {hash(address) % _COUNTERS}"
