from __future__ import annotations

import pytest

from contracts.codes import Vetting
from contracts.errors import Refused
from contracts.organization import SealingKey
from services.intake.domain.members import Member, member_of, receiver_keys, require_good_standing
from tests.unit.services.intake.samples import (
    KEYLESS,
    MEMBERS,
    MOSCOW,
    MOSCOW_KID,
    OSH,
    SUSPENDED,
    organization,
)


def test_member_keeps_standing_and_key_id() -> None:
    key = SealingKey(kty="OKP", crv="X25519", x="A" * 43, kid=MOSCOW_KID)
    assert member_of(organization(OSH)) == Member(id=OSH, in_good_standing=True, kid=None)
    assert member_of(organization(OSH, key=key)).kid == MOSCOW_KID


@pytest.mark.parametrize("vetting", [vetting for vetting in Vetting if vetting is not Vetting.vetted])
def test_organization_not_vetted_is_out_of_standing(vetting: Vetting) -> None:
    assert not member_of(organization(OSH, vetting=vetting)).in_good_standing


def test_inactive_organization_is_out_of_standing() -> None:
    assert not member_of(organization(OSH, active=False)).in_good_standing


@pytest.mark.parametrize("sender", [SUSPENDED, "kg.nobody"])
def test_sender_out_of_standing_is_forbidden(sender: str) -> None:
    require_good_standing(MEMBERS.get, OSH)
    with pytest.raises(Refused) as caught:
        require_good_standing(MEMBERS.get, sender)
    assert (caught.value.slug, caught.value.status) == ("forbidden", 403)


@pytest.mark.parametrize(
    ("receiver", "slug"), [("kg.nobody", "unknown-organization"), (KEYLESS, "receiver-has-no-key")]
)
def test_receiver_unknown_or_without_key_is_refused(receiver: str, slug: str) -> None:
    assert receiver_keys(MEMBERS.get, MOSCOW) == {MOSCOW_KID}
    with pytest.raises(Refused) as caught:
        receiver_keys(MEMBERS.get, receiver)
    assert caught.value.slug == slug
    assert [error.pointer for error in caught.value.errors] == ["/to"]
