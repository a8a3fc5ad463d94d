"""The effects of an act on a referral, as lines before the question."""

from __future__ import annotations

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.effect_words import effect
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


def effects_on(
    referral: Referral, organization: str | None, what: str, language: str, *, accepted: str | None = None
) -> list[str]:
    """Return the referral, and the effect on each organisation for which it waits.

    accepted: the effect on its acceptor, if it is another one.
    """
    return [
        _about(referral, language),
        *(
            f"{offer['organization']} ({_state(referral, offer, language)}): "
            f"{what if accepted is None or offer['state'] == 'open' else accepted}"
            for offer in waits_for(referral, organization)
        ),
    ]


def effects_of_end(referral: Referral, language: str, *, erases: bool) -> list[str]:
    """Return what the end of a referral affects. erases: its case and its history's content too."""
    effects = [_about(referral, language)]
    if referral["status"] in ENDS:
        effects.append(effect("ended", language))
    for offer in waits_for(referral):
        what = effect("not_asked" if offer["state"] == "open" else "loses_case", language)
        effects.append(f"{offer['organization']} ({_state(referral, offer, language)}): {what}")
    if erases:
        effects.append(effect("erased", language))
    elif referral["status"] not in ENDS:
        effects.append(effect("ends", language))
    return effects


def _about(referral: Referral, language: str) -> str:
    facts = referral["facts"] or {}  # none in an old referral
    words = [
        in_words("status", referral["status"], language),
        *(in_words(name, facts[name], language) for name in ("urgency", "region") if facts.get(name)),
    ]
    return f"{referral['id']} ({', '.join(words)})"


def _state(referral: Referral, offer: Offer, language: str) -> str:
    if offer["state"] == "open":
        return effect("until", language, time=moment(offer["deadline"]))
    return in_words("status", referral["status"], language)
