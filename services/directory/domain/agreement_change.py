"""Changes of an agreement that only narrow what its parties may disclose."""

from __future__ import annotations

from dataclasses import replace

from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement


def narrows(present: Agreement | None, wanted: Agreement) -> bool:
    """Return whether the change takes parties away or ends the agreement sooner, and does nothing else.

    One person may do that, as one person may suspend an organisation.
    """
    if present is None:
        return False
    kept = replace(wanted, parties=present.parties, effective_until=present.effective_until)
    return kept == present and _has_fewer_parties(present, wanted) and _ends_sooner(present, wanted)


def _has_fewer_parties(present: Agreement, wanted: Agreement) -> bool:
    if EVERY_VETTED_ORGANIZATION in (*present.parties, *wanted.parties):
        return present.parties == wanted.parties
    return set(wanted.parties) <= set(present.parties)


def _ends_sooner(present: Agreement, wanted: Agreement) -> bool:
    if present.effective_until == wanted.effective_until:
        return True
    return wanted.effective_until is not None and (
        present.effective_until is None or wanted.effective_until < present.effective_until
    )
