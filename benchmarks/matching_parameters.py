"""The parameters of the statements of the benchmark of matching, and their values for a referral."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.matching_network import AskedReferral
from benchmarks.matching_schema import EVERYONE, mask
from contracts.codes import DisclosureClass, Urgency, Vetting
from contracts.vocabularies import country_of, need_group
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.fairness import draw_of
from services.routing.domain.places import ORDER_OF_URGENCY

# The most that a referral of the benchmark has of each. Unused places are filled, so that one statement can
# be prepared for all referrals.
NEEDS, LANGUAGES, KINDS, EXCLUDED, COUNTRIES, ASKED, CATEGORIES = 3, 3, 2, 1, 2, 4, 2


def names(prefix: str, count: int) -> list[str]:
    """Return the names of a parameter's places: "need1", "need2"."""
    return [f"{prefix}{number}" for number in range(1, count + 1)]


def listed(prefix: str, count: int) -> str:
    """Return the places as a list in SQL: ":need1, :need2"."""
    return ", ".join(f":{name}" for name in names(prefix, count))


_TEXT: Final = (
    *("referral", "sender", "region", "country", "code1", "code2", "language", "origin", "today"),
    *("principal", "principal_group", "whole_group", "settlement_code", "sex_code", "age_code", "stage_code"),
    *names("category", CATEGORIES),
    *names("need", NEEDS),
    *names("group", NEEDS),
    *names("wanted", NEEDS),
    *names("wanted_group", NEEDS),
    *names("language", LANGUAGES),
    *names("kind", KINDS),
    *names("excluded", EXCLUDED),
    *names("storage", COUNTRIES),
    *names("asked", ASKED),
)
_INT: Final = (
    *("strict", "everyone", "needs", "emergency", "pays", "anywhere", "level", "settlement", "sex", "age"),
    *("stage", "special", "sender_key", *names("sensitive", NEEDS)),
)
_FLOAT: Final = ("now", "full_for", "draw", *names("declined", ASKED))
# Each parameter with its SQL type.
PARAMETERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_TEXT, "TEXT"),
    **dict.fromkeys(_INT, "INT"),
    **dict.fromkeys(_FLOAT, "DOUBLE PRECISION"),
}


def parameters_of(statement: str) -> list[str]:
    """Return the names of the parameters, in the order in which they first appear."""
    return list(dict.fromkeys(re.findall(r":([a-z_]+[0-9]*)", statement)))


def _filled(prefix: str, count: int, values: Sequence[Any], filler: Any = None) -> dict[str, Any]:
    if len(values) > count:
        raise ValueError(f"a referral of the benchmark has more than {count} of {prefix}")
    return dict(zip(names(prefix, count), [*values, *[filler] * (count - len(values))], strict=True))


def arguments(given: Circumstances, referral: AskedReferral, sender_key: int) -> dict[str, Any]:
    """Return the value of each parameter. sender_key: of the sender in the table `org`."""
    facts, consent = given.facts, given.facts.consent
    sender = given.directory.organization(given.sender)
    vetted = sender is not None and sender.vetting is Vetting.vetted
    # `decide()` draws by the same values. The results can be compared only with the same draw.
    draw = None if facts.urgency is Urgency.emergency else draw_of(given.referral_id, len(given.asked))
    needs = list(given.agreements)
    principal = given.principal_need
    group = need_group(principal)
    declined = [given.declined_as_full.get(name) for name in sorted(given.asked)]
    return {
        "referral": given.referral_id,
        "sender": given.sender,
        "sender_key": sender_key,
        "everyone": EVERYONE if vetted else -1,
        "region": facts.region,
        "country": country_of(facts.region),
        "code1": f"any {group}" if principal == group else principal,
        "code2": f"any {group}" if principal == group else group,
        "principal": principal,
        "principal_group": group,
        "whole_group": group if principal == group else None,
        "settlement_code": facts.settlement.value,
        "sex_code": facts.sex.value,
        "age_code": facts.age_band.value,
        "stage_code": facts.stage.value,
        "language": facts.languages[0],
        "origin": facts.origin_country,
        "today": given.now.date().isoformat(),
        "strict": int(given.disclosure is DisclosureClass.sensitive),
        "needs": len(facts.needs),
        "emergency": int(facts.urgency is Urgency.emergency),
        "pays": int(facts.accepts_cost),
        "anywhere": int(not consent.storage_countries),
        "level": ORDER_OF_URGENCY[facts.urgency],
        "settlement": mask([facts.settlement]),
        "sex": mask([facts.sex]),
        "age": mask([facts.age_band]),
        "stage": mask([facts.stage]),
        "special": mask(facts.special_categories),
        "now": given.now.timestamp(),
        "full_for": given.full_for.total_seconds(),
        "draw": draw,
        **_filled("need", NEEDS, needs),
        **_filled("group", NEEDS, [need_group(need) for need in needs]),
        **_filled("sensitive", NEEDS, [int(need in given.sensitive) for need in needs], 0),
        **_filled("wanted", NEEDS, facts.needs, ""),
        **_filled("wanted_group", NEEDS, [need_group(need) for need in facts.needs], ""),
        **_filled("category", CATEGORIES, [one.value for one in facts.special_categories], ""),
        **_filled("language", LANGUAGES, facts.languages, ""),
        **_filled("kind", KINDS, [kind.value for kind in consent.opt_in_kinds], ""),
        **_filled("excluded", EXCLUDED, consent.excluded_organizations, ""),
        **_filled("storage", COUNTRIES, consent.storage_countries, ""),
        **_filled("asked", ASKED, sorted(given.asked)),
        **_filled("declined", ASKED, [at and at.timestamp() for at in declined]),
    }
