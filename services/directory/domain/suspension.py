"""Suspension of an organisation by the network."""

from __future__ import annotations

from dataclasses import replace

from contracts.codes import Vetting
from contracts.errors import Refused
from contracts.organization import Organization


def suspended(present: Organization) -> Organization:
    """Return the record as suspended; a suspended one stays as it is.

    Raises Refused `conflict` for an organisation that has left: it is excluded already, and its departure
    stays on record.
    """
    if present.vetting is Vetting.left:
        raise Refused("conflict", "The organisation has left the network. It is excluded already.")
    return replace(present, vetting=Vetting.suspended)
