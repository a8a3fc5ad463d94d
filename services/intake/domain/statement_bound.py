"""The counting of an organisation's submissions about one referral. Pure.

An acceptor reports, writes notes and corrects itself some ten times a day at most. Each single act of an
organisation (an answer, an outcome, a hand-back, a withdrawal, the revocation of the consent) counts
separately by its kind. Otherwise notes could delay the end of a referral whose person has withdrawn the
consent. `contracts/submission_bound.py` has the bound.
"""

from __future__ import annotations

from typing import Final

from contracts.facts import NoteSubmitted, ProgressSubmitted, ReplacementSubmitted, UnreadableSubmitted

# Submissions that an organisation repeats in good faith count together.
_REPEATED: Final = frozenset(
    one.routing_key for one in (NoteSubmitted, ProgressSubmitted, ReplacementSubmitted, UnreadableSubmitted)
)


def counted_as(fact: str) -> str:
    """Return the name under which a submission counts. fact: the routing key of its first event."""
    return "repeated" if fact in _REPEATED else fact
