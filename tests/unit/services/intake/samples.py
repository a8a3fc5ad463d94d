"""Sample submissions, organisations and callers."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

from contracts.codes import OrganizationKind, Vetting
from contracts.organization import Organization, SealingKey
from contracts.records import load
from contracts.referral import ReferralSubmission
from services.intake.domain.admission import Caller, Claim, claim_of
from services.intake.domain.members import Member

OSH = "kg.osh-legal-aid"
MOSCOW = "ru.moscow-migrant-support"
STRANGER = "uz.tashkent-union"
SUSPENDED = "kz.almaty-agency"
KEYLESS = "tj.dushanbe-council"

CUSTODY_KID = "custody-kid-" + "c" * 31
MOSCOW_KID = "moscow-kid-" + "m" * 32
OSH_KID = "osh-kid-" + "o" * 35
NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
OFFER = "01930f6e-61b4-7f52-9d03-5c7e8a1b2c02"
REFERRAL = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"

FACTS: dict[str, Any] = {
    "needs": ["legal.wage_claim"],
    "urgency": "urgent",
    "region": "RU-MOW",
    "settlement": "urban",
    "languages": ["ky", "ru"],
    "stage": "in_destination",
    "origin_country": "KG",
    "age_band": "25_59",
    "sex": "female",
    "special_categories": ["work_injury"],
    "to": None,
    "accepts_cost": False,
    "consent": {
        "given": True,
        "given_at": "2026-03-01T09:30:15.250Z",
        "method": "signed",
        "opt_in_kinds": ["consular_representative"],
        "excluded_organizations": [],
        "storage_countries": [],
    },
}

MEMBERS = {
    OSH: Member(id=OSH, in_good_standing=True, kid=OSH_KID),
    MOSCOW: Member(id=MOSCOW, in_good_standing=True, kid=MOSCOW_KID),
    STRANGER: Member(id=STRANGER, in_good_standing=True, kid=None),
    SUSPENDED: Member(id=SUSPENDED, in_good_standing=False, kid=None),
    KEYLESS: Member(id=KEYLESS, in_good_standing=True, kid=None),
}


def segment(value: bytes | dict[str, Any]) -> str:
    """Encode as base64url without padding."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sealed(kid: object = CUSTODY_KID, **header: object) -> str:
    """Return a well-formed compact JWE without real content."""
    epk = {"kty": "OKP", "crv": "X25519", "x": segment(b"x" * 32)}
    profile = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": kid, "cty": "application/json", "epk": epk}
    members = {**profile, **header}
    return ".".join([segment(members), *map(segment, (b"k" * 40, b"i" * 12, b"ciphertext", b"t" * 16))])


def document(**changes: Any) -> dict[str, Any]:
    """Return the body of a referral that is admitted."""
    return {**FACTS, "case": sealed(), **changes}


def submission(**changes: Any) -> ReferralSubmission:
    return load(ReferralSubmission, document(**changes))


class RisingIds:
    """Generates rising UUIDs."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> str:
        self._last += 1
        return f"00000000-0000-7000-8000-{self._last:012d}"


def caller(organization: str = OSH, *, new_id: Any = None, traceparent: str | None = None) -> Caller:
    return Caller(
        organization=organization,
        source="/kg/intake",
        now=NOON,
        traceparent=traceparent,
        new_id=new_id or RisingIds(),
        new_referral_id=new_id or RisingIds(),
    )


def claim(key: str = "key", body: bytes = b"body", organization: str = OSH) -> Claim:
    made = claim_of(organization, key, body)
    assert made is not None
    return made


def organization(
    id: str, *, vetting: Vetting = Vetting.vetted, active: bool = True, key: SealingKey | None = None
) -> Organization:
    return Organization(
        id=id,
        name=id,
        kind=OrganizationKind.ngo,
        country=id[:2].upper(),
        vetting=vetting,
        active=active,
        sealing_key=key,
    )
