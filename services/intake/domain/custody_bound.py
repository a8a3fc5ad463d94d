"""How many bytes of cases one sender may have in custody. Pure.

The vault keeps a case, and after its release delivery a copy, until the referral ends: only then is there
room again. Replacements count by the larger case, because the vault may refuse the later one.
A part of a split referral that gets a case of its own counts as a referral does.
"""

from __future__ import annotations

from typing import Final

from contracts.errors import Refused
from contracts.facts import SealedCaseReplaced, SealedCaseSubmitted, SealedNoteSubmitted
from services.intake.domain.admission import Admission

MIB: Final = 1024 * 1024
# The part of the bound that only emergencies may use besides, one in this many.
_EMERGENCIES: Final = 4
_SealedCase = SealedCaseSubmitted | SealedCaseReplaced


def case_bytes(admission: Admission) -> int:
    """Return the bytes of the sealed case that the admission brings, 0 if there is none."""
    return sum(len(event.data.case) for event in admission.events if isinstance(event.data, _SealedCase))


def sealed_bytes(admission: Admission) -> int:
    """Return the bytes of the sealed case and the sealed note that the admission brings."""
    notes = (len(e.data.note) for e in admission.events if isinstance(e.data, SealedNoteSubmitted))
    return case_bytes(admission) + sum(notes)


def growth(admission: Admission, present: int) -> int:
    """Return by how many bytes the admission adds to what its sender has in custody.

    present: the counted bytes of the referral's case. 0 for a new referral, for a part that has shared the
    case of the whole, and for a referral that was admitted before cases were counted.
    """
    return max(0, case_bytes(admission) - present)


def beyond_custody(admission: Admission, added: int, held: int, most: int) -> Refused | None:
    """Return the refusal of a case that has no room; None if it has.

    added: see `growth`. held: the bytes of the sender's cases in custody. most: the bound in bytes;
    emergencies, and the replacements of their cases, may use a quarter more, which no other referral can take
    from them.
    """
    bound = most + most // _EMERGENCIES if admission.is_emergency else most
    if not added or held + added <= bound:
        return None
    return Refused(
        "custody-full",
        f"The hub keeps at most {bound // MIB} MiB of cases for your open referrals. End or withdraw some"
        " that are done with, or send smaller documents. Emergencies have a quarter more.",
    )
