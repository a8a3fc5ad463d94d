"""The sample network: invented organisations, agreements and referrals, read from the JSON files here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts import records
from contracts.case import Case
from contracts.organization import Agreement, Organization
from contracts.referral import ReferralFacts

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleReferral:
    """One invented referral: its submission, and the reason why it is in the sample."""

    key: str
    # The sending organisation's id.
    sender: str
    # The language of the case text (BCP 47); not always the person's best language.
    language: str
    facts: ReferralFacts
    # Plain text only because all persons are invented; a real sender seals the case.
    case: Case
    # One English sentence.
    story: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleNetwork:
    """The whole sample, in the order of the files."""

    organizations: tuple[Organization, ...]
    agreements: tuple[Agreement, ...]
    referrals: tuple[SampleReferral, ...]

    def referral(self, key: str) -> SampleReferral:
        """Return the referral with this key. Raises KeyError."""
        for referral in self.referrals:
            if referral.key == key:
                return referral
        raise KeyError(key)


def load() -> SampleNetwork:
    """Read the three files. Raises OSError, or contracts.records.Malformed for an invalid record."""
    return SampleNetwork(
        organizations=tuple(records.read(Organization, o) for o in _objects("organizations")),
        agreements=tuple(records.read(Agreement, a) for a in _objects("agreements")),
        referrals=tuple(records.read(SampleReferral, r) for r in _objects("referrals")),
    )


def _objects(name: str) -> list[Mapping[str, Any]]:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    objects: list[Mapping[str, Any]] = json.loads(text)
    return objects


__all__ = ["SampleNetwork", "SampleReferral", "load"]
