"""How many bytes of cases one sender may have in custody, and of notes one author at delivery. Pure.

The vault keeps a case, and after its release delivery a copy, until the referral ends: only then is there
room again. Replacements count by the larger case, because the vault may refuse the later one.
A part of a split referral that gets a case of its own counts as a referral does.

Delivery keeps a note until its referral ends. Notes have a bound of their own, so that they take no room from
cases and need none of theirs. The note of a decline or a hand-back does not count: the bound must refuse
neither act.
"""

from __future__ import annotations

from typing import Final

from contracts.errors import Refused
from contracts.facts import SealedCaseReplaced, SealedCaseSubmitted, SealedNoteSubmitted
from services.intake.domain.admission import Admission

MIB: Final = 1024 * 1024
# The part of the bound that only emergencies may use besides, one in this many.
_EMERGENCIES: Final = 4
# The notes of one author have another part of the bound, one in this many.
_NOTES: Final = 4
_SealedCase = SealedCaseSubmitted | SealedCaseReplaced


def case_bytes(admission: Admission) -> int:
    """Return the bytes of the sealed case that the admission brings, 0 if there is none."""
    return sum(len(event.data.case) for event in admission.events if isinstance(event.data, _SealedCase))


def note_bytes(admission: Admission) -> int:
    """Return the bytes of the sealed note that counts as kept, 0 if the admission brings none."""
    notes = (event.data for event in admission.events if isinstance(event.data, SealedNoteSubmitted))
    return sum(len(note.note) for note in notes if not note.explains)


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


def beyond_notes(size: int, kept: int, most: int) -> Refused | None:
    """Return the refusal of a note that has no room; None if it has.

    size: of the note, 0 for none. kept: the bytes of its author's notes about open referrals. most: the bound
    of cases in bytes; notes may have a quarter of that.
    """
    bound = most // _NOTES
    if not size or kept + size <= bound:
        return None
    return Refused(
        "custody-full",
        f"The hub keeps at most {bound // MIB} MiB of your notes about open referrals. End or withdraw some"
        " that are done with, or send shorter notes.",
    )
