"""The effects of an approval of a service for sensitive needs, which replaces an earlier approval."""

from __future__ import annotations

from collections.abc import Sequence

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.effect_words import effect
from kopuro_client.commands.organization_words import standing
from kopuro_client.commands.session import Session
from kopuro_client.errors import InvalidArgumentError


def effects_of_approval(
    session: Session,
    organization: str,
    service: str,
    needs: Sequence[str],
    language: str,
    *,
    is_new: bool = False,
) -> list[str]:
    """Return the standing, the present and the new needs, the needs that are dropped and the open offers.

    needs: what the service would be approved for, as codes. The offers are read only if a need is dropped.
    is_new: nobody has requested the approval yet. Raises InvalidArgumentError if it is new and the
    organisation does not have the service.
    """
    record = session.hub.organization(organization)
    services = [one["id"] for one in record["services"]]
    if is_new and service not in services:
        names = ", ".join(services) or "none"
        raise InvalidArgumentError(f"{organization} has no service {service}; its services: {names}")
    present = next((one for one in record["approved_services"] if one["service"] == service), None)
    old = [] if present is None else present["needs"]
    effects = [effect("standing", language, organization=organization, standing=standing(record, language))]
    if record["vetting"] != "vetted" or not record["active"]:
        effects.append(effect("not_asked_now", language))
    effects.append(
        effect(
            "approved_now" if old else "not_approved_now",
            language,
            organization=organization,
            service=service,
            **({"needs": in_words("needs", old, language)} if old else {}),
        )
    )
    if set(old) == set(needs):
        return [*effects, effect("approval_unchanged", language)]
    new = in_words("needs", list(dict.fromkeys(needs)), language)
    effects.append(effect("approved_then" if old else "approved_first", language, needs=new))
    if dropped := [need for need in old if need not in needs]:
        effects.append(effect("needs_dropped", language, needs=in_words("needs", dropped, language)))
        offers = session.hub.engagements(organization).get("sensitive_offers", {}).get(service, 0)
        effects.append(effect("dropped_offers", language, number=offers))
    return effects
