"""What an act on a referral affects, as lines before the question."""

from __future__ import annotations

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.printable import moment
from kopuro_client.records import Offer, Referral
from kopuro_client.tracing.next_action import ENDS

__all__ = ["effects_of_end", "effects_on", "waits_for"]


def waits_for(referral: Referral, organization: str | None = None) -> list[Offer]:
    """Return the offers for whose holders the referral waits: the open ones, or the accepted one."""
    if referral["status"] in ENDS:
        return []
    state = "open" if referral["acceptor"] is None else "accepted"
    return [
        offer
        for offer in referral["offers"]
        if offer["state"] == state and organization in (None, offer["organization"])
    ]


def effects_on(referral: Referral, organization: str | None, effect: str) -> list[str]:
    """Return the referral, and the effect on each organisation for which it waits."""
    return [
        _about(referral),
        *(
            f"{offer['organization']} ({_state(referral, offer)}): {effect}"
            for offer in waits_for(referral, organization)
        ),
    ]


def effects_of_end(referral: Referral, *, erases: bool) -> list[str]:
    """Return what the end of a referral affects. erases: its case and its history's content too."""
    effects = [_about(referral)]
    if referral["status"] in ENDS:
        effects.append("it has ended already")
    for offer in waits_for(referral):
        effect = "will no longer be asked" if offer["state"] == "open" else "loses the case"
        effects.append(f"{offer['organization']} ({_state(referral, offer)}): {effect}")
    if erases:
        effects.append("its case and the content of its history are erased, and nobody can restore them")
    elif referral["status"] not in ENDS:
        effects.append("it ends, and nobody can open it again")
    return effects


def _about(referral: Referral) -> str:
    facts = referral["facts"] or {}  # none in an old referral
    words = [
        in_words("status", referral["status"], "en"),
        *(in_words(name, facts[name], "en") for name in ("urgency", "region") if facts.get(name)),
    ]
    return f"{referral['id']} ({', '.join(words)})"


def _state(referral: Referral, offer: Offer) -> str:
    if offer["state"] == "open":
        return f"until {moment(offer['deadline'])}"
    return in_words("status", referral["status"], "en")
