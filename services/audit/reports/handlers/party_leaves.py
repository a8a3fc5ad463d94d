"""The entries of a referral as a party may read them (`domain/party_view.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.audit.log.ports import OpenedLeaf
from services.audit.reports.domain.party_view import LoggedStep, end_of_part, readable_by, withheld_from


def leaves_for(organization: str, leaves: Sequence[OpenedLeaf]) -> list[tuple[OpenedLeaf, bool]]:
    """Return the leaves that a party may read, each with whether its facts are withheld from the party.

    leaves: all of one referral, by index, without those about reads.
    """
    steps = [step_of(leaf) for leaf in leaves]
    readable, withheld = readable_by(organization, steps) or (), withheld_from(organization, steps)
    return [(leaf, leaf.index in withheld) for leaf in leaves if leaf.index in readable]


def told_leaves(organization: str, leaves: Sequence[OpenedLeaf]) -> list[OpenedLeaf]:
    """Return the leaves that a party may read, with as much of their content as it may read.

    leaves: as for `leaves_for`.
    """
    has_ended = end_of_part(organization, [step_of(leaf) for leaf in leaves]) is not None
    hidden = without_content if has_ended else without_facts
    return [hidden(leaf) if withheld else leaf for leaf, withheld in leaves_for(organization, leaves)]


def step_of(opened: OpenedLeaf) -> LoggedStep:
    """Return what the leaf says of its entry."""
    leaf = opened.fields
    return LoggedStep(
        index=opened.index, type=leaf["type"], actor=leaf["actor"], organization=leaf["organization"]
    )


def without_content(leaf: OpenedLeaf) -> OpenedLeaf:
    """Return the leaf without its opening."""
    return replace(leaf, salt=None, data=None)


def without_facts(leaf: OpenedLeaf) -> OpenedLeaf:
    """Return the leaf without its facts, and without the salt, which opens the whole content only."""
    if not isinstance(leaf.data, dict):
        return leaf
    kept = {name: value for name, value in leaf.data.items() if name != "facts"}
    return replace(leaf, salt=None, data=kept)
