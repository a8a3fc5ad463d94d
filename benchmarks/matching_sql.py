"""The questions of `decide()` in SQL, over the tables of `matching_schema.py`.

`DECIDED` asks for what `decide()` returns for a search: every candidate with its revision, each rule that it
fails with the evidence, and of the eligible ones the contributions, the score, the rank and the turn. What
was observed is part of it: answers, cases held, open offers with the share of each sender, declines for lack
of capacity. `ELSEWHERE` counts the organisations that meet the need in other regions, for a decision without
candidates. `ELIGIBLE` is a smaller question: the eligible services with their scores.

Left out, which favours the databases: the demand at those services of a candidate's organisation that are no
candidates, which a decision records.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.matching_network import POLICY, AskedReferral
from benchmarks.matching_schema import EVERYONE, mask
from contracts.codes import DisclosureClass, Urgency, Vetting
from contracts.vocabularies import country_of, need_group
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.fairness import draw_of
from services.routing.domain.places import ORDER_OF_URGENCY

# The most that a referral of the benchmark has of each. Unused places are filled, so that one statement can
# be prepared for all referrals.
NEEDS, LANGUAGES, KINDS, EXCLUDED, COUNTRIES, ASKED = 3, 3, 2, 1, 2, 4


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(1, count + 1)]


def _list(prefix: str, count: int) -> str:
    return ", ".join(f":{name}" for name in _names(prefix, count))


_TEXT: Final = (
    *("referral", "sender", "region", "country", "code1", "code2", "language", "origin", "today"),
    *_names("need", NEEDS),
    *_names("group", NEEDS),
    *_names("wanted", NEEDS),
    *_names("language", LANGUAGES),
    *_names("kind", KINDS),
    *_names("excluded", EXCLUDED),
    *_names("storage", COUNTRIES),
    *_names("asked", ASKED),
)
_INT: Final = (
    *("strict", "everyone", "needs", "emergency", "pays", "anywhere", "level", "settlement", "sex", "age"),
    *("stage", "special", "sender_key", *_names("sensitive", NEEDS)),
)
_FLOAT: Final = ("now", "full_for", "draw", *_names("declined", ASKED))
# Each parameter with its SQL type.
PARAMETERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_TEXT, "TEXT"),
    **dict.fromkeys(_INT, "INT"),
    **dict.fromkeys(_FLOAT, "DOUBLE PRECISION"),
}

_WEIGHTS: Final = POLICY.weights.by_name()
_FAIRNESS: Final = POLICY.fairness
_LEAST: Final = POLICY.offers_per_sender.least


def _rounded(value: str) -> str:
    return f"ROUND(({value}) * CAST(1000000 AS DOUBLE PRECISION)) / 1000000"


def _disclosed(slot: int) -> str:
    """Whether agreements allow the sender to disclose this need to the organisation."""
    return f"""(:need{slot} IS NULL
    OR o.vetting = 'vetted' AND EXISTS (SELECT 1 FROM granted g WHERE g.slot = {slot} AND g.everyone = 1)
    OR o.is_party = 1 AND EXISTS (SELECT 1 FROM granted g JOIN party p ON p.agreement = g.agreement
                                  WHERE g.slot = {slot} AND p.org = o.id))"""  # noqa: S608


def _approved(slot: int) -> str:
    """Whether the service is approved for the need, or for a further need one that serves the person."""
    approval = f"""SELECT 1 FROM approval p JOIN service t ON t.id = p.service
    WHERE p.org = o.id AND p.code IN (:need{slot}, :group{slot})"""  # noqa: S608
    if slot == 1:
        return f"(:sensitive1 = 0 OR EXISTS ({approval} AND p.service = s.id))"
    group = f"CASE WHEN :need{slot} = :group{slot} THEN 'any ' || :group{slot} END"
    return f"""(:sensitive{slot} = 0 OR EXISTS ({approval} AND EXISTS (SELECT 1 FROM met m
        WHERE m.service = t.id AND m.code IN (:need{slot}, :group{slot}, {group})
        AND m.area IN (:region, :country))
    AND (t.id = s.id OR (t.settlements & :settlement) <> 0 AND (t.sexes & :sex) <> 0
        AND (t.ages & :age) <> 0 AND (t.stages & :stage) <> 0
        AND (t.specials = 0 OR (t.specials & :special) <> 0)
        AND (t.origins = 0
            OR EXISTS (SELECT 1 FROM origin b WHERE b.service = t.id AND b.country = :origin))
        AND EXISTS (SELECT 1 FROM speaks l
            WHERE l.service = t.id AND l.lang IN ({_list("language", LANGUAGES)})))))"""  # noqa: S608


_SPOKEN: Final = f"""(SELECT MAX(CASE WHEN l.own = 0 THEN 1 WHEN l.lang = :language THEN 3 ELSE 2 END)
    FROM speaks l WHERE l.service = s.id AND l.lang IN ({_list("language", LANGUAGES)}))"""  # noqa: S608
_EXCLUDED: Final = f"""EXISTS (SELECT 1 FROM above x
    WHERE x.org = o.id AND x.above IN ({_list("excluded", EXCLUDED)}))"""  # noqa: S608
_OF_ORIGIN: Final = """(s.origins = 0
    OR EXISTS (SELECT 1 FROM origin b WHERE b.service = s.id AND b.country = :origin))"""
# Whether some sender may find no place, whatever its share.
_SCARCE: Final = "(s.maximum IS NOT NULL AND (s.waiting > 0 OR s.accepted + s.pending >= s.maximum))"

# The evidence that takes a subquery: by column, the condition or value.
_LOOKED_UP: Final[Mapping[str, str]] = {
    **{f"disclosed{slot}": _disclosed(slot) for slot in range(1, NEEDS + 1)},
    **{f"approved{slot}": _approved(slot) for slot in range(1, NEEDS + 1)},
    "excluded": _EXCLUDED,
    "of_origin": _OF_ORIGIN,
}
_SHARE: Final = f"""CASE WHEN (e.maximum - e.accepted) / e.senders > {_LEAST}
    THEN (e.maximum - e.accepted) / e.senders ELSE {_LEAST} END"""

# Each rule that can fail for a search of the benchmark, by its name in `rules.py`, over the evidence.
_RULES: Final[Mapping[str, str]] = {
    "organization_active": "e.active = 1",
    "organization_vetted": "e.vetting = 'vetted'",
    "not_the_sender": "e.org <> :sender_key",
    "kind_consented": f"(e.opt_in IS NULL OR e.opt_in IN ({_list('kind', KINDS)}))",
    "can_receive": "e.receives = 1",
    "cost_accepted": "(:pays = 1 OR e.cost = 'free')",
    "capacity_left": "e.status <> 'no_capacity' AND (:emergency = 0 OR e.status <> 'waitlist')",
    "open_now": "(:emergency = 0 OR e.always_open = 1)",
    "storage_allowed": f"(:anywhere = 1 OR e.country IN ({_list('storage', COUNTRIES)}))",
    "settlement_served": "(e.settlements & :settlement) <> 0",
    "capacity_not_declined": "(e.full_since IS NULL OR e.stated > e.full_since"
    " OR :now >= e.full_since + :full_for)",
    "place_left": f"""(e.scarce = 0 OR e.accepted < e.maximum AND (e.own < {_SHARE}
        OR e.held < e.maximum - e.accepted AND (e.least_waiting IS NULL OR e.least_waiting >= e.own)))""",
    "not_asked_before": "(e.asked IS NULL OR e.declined IS NOT NULL AND e.stated > e.declined"
    " AND :now >= e.declined + :full_for)",
    # After the rules that read a row only, so that the smaller question seldom looks these up.
    "language_shared": "e.tongue IS NOT NULL",
    "not_excluded": "e.excluded = 0",
    "person_eligible": "(e.sexes & :sex) <> 0 AND (e.ages & :age) <> 0 AND (e.stages & :stage) <> 0"
    " AND (e.specials = 0 OR (e.specials & :special) <> 0) AND e.of_origin = 1",
    "agreement_in_force": "e.disclosed1 = 1 AND e.disclosed2 = 1 AND e.disclosed3 = 1",
    "service_approved": "e.approved1 = 1 AND e.approved2 = 1 AND e.approved3 = 1",
}

_FOUND: Final = f"""
need (slot, code, grp) AS (VALUES (1, :need1, :group1), (2, :need2, :group2), (3, :need3, :group3)),
granted AS MATERIALIZED (
  SELECT DISTINCT n.slot, a.id AS agreement,
    CASE WHEN EXISTS (SELECT 1 FROM party e WHERE e.org = {EVERYONE} AND e.agreement = a.id)
         THEN 1 ELSE 0 END AS everyone
  FROM party p JOIN agreement a ON a.id = p.agreement JOIN need n ON n.code IS NOT NULL
  WHERE p.org IN (:sender_key, :everyone) AND a.since <= :today AND (a.until IS NULL OR a.until >= :today)
    AND (:strict = 0 OR a.sensitive = 1)
    AND (a.for_all_needs = 1 OR EXISTS (
      SELECT 1 FROM covers c WHERE c.agreement = a.id AND c.code IN (n.code, n.grp)))),
found AS MATERIALIZED (
  SELECT service, MAX(CASE WHEN area = :region THEN 1 ELSE 0 END) AS near FROM met
  WHERE code IN (:code1, :code2) AND area IN (:region, :country) GROUP BY service),
claim AS (
  SELECT d.service, d.sender, SUM(d.offers) AS offers, SUM(d.waiting) AS waiting
  FROM found f JOIN service s ON s.id = f.service JOIN demand d ON d.service = s.id
  WHERE {_SCARCE} AND d.urgency <= :level GROUP BY d.service, d.sender),
claims AS MATERIALIZED (
  SELECT service, SUM(offers) AS held, SUM(CASE WHEN sender = :sender THEN offers ELSE 0 END) AS own,
    COUNT(*) + 1 - MAX(CASE WHEN sender = :sender THEN 1 ELSE 0 END) AS senders,
    MIN(CASE WHEN waiting > 0 AND sender <> :sender THEN offers END) AS least_waiting
  FROM claim GROUP BY service),
asked (name, declined) AS (VALUES (:asked1, :declined1), (:asked2, :declined2), (:asked3, :declined3),
  (:asked4, :declined4))"""  # noqa: S608
_JOINED: Final = """FROM found f JOIN service s ON s.id = f.service JOIN org o ON o.id = s.org
  LEFT JOIN claims c ON c.service = s.id LEFT JOIN asked a ON a.name = o.name"""
_ORG: Final = (
    *("revision", "country", "active", "receives", "vetting", "opt_in", "answered", "expired"),
    *("returned", "answer_seconds", "last_asked"),
)
_SERVICE: Final = (
    *("org", "cost", "affordability", "status", "status_order", "maximum", "unit", "updated", "stated"),
    *("always_open", "settlements", "sexes", "ages", "stages", "specials", "origins", "spoken"),
    *("accepted", "pending", "full_since"),
)
_EVIDENCE: Final = f"""(
  SELECT s.id, o.name AS organization, s.name AS service, f.near,
    {", ".join(f"o.{name}" for name in _ORG)}, {", ".join(f"s.{name}" for name in _SERVICE)},
    CASE WHEN {_SCARCE} THEN 1 ELSE 0 END AS scarce, COALESCE(c.held, 0) AS held,
    COALESCE(c.own, 0) AS own, COALESCE(c.senders, 1) AS senders, c.least_waiting,
    a.name AS asked, a.declined, {_SPOKEN} AS tongue,
    {", ".join(f"CASE WHEN {test} THEN 1 ELSE 0 END AS {name}" for name, test in _LOOKED_UP.items())}
  {_JOINED})"""

_COVERED: Final = f"""(SELECT COUNT(*) FROM covered v
    WHERE v.org = e.org AND v.code IN ({_list("wanted", NEEDS)}))"""  # noqa: S608
_CONTRIBUTIONS: Final[Mapping[str, str]] = {
    "needs_covered": _rounded(f"CAST({_COVERED} AS DOUBLE PRECISION) / :needs"),
    "nearness": "CASE WHEN e.near = 1 THEN 1.0 ELSE 0.5 END",
    "language": "CASE e.tongue WHEN 3 THEN 1.0 WHEN 2 THEN 0.7 ELSE 0.4 END",
    "responsiveness": "CASE WHEN e.answered + e.expired = 0 THEN 0.5 ELSE "
    + _rounded(
        "0.5 * (e.answered + (e.answered - e.returned) * CASE WHEN e.answered = e.returned THEN 0.0"
        " WHEN e.answer_seconds / (e.answered - e.returned) <= 3600.0 THEN 1.0"
        " ELSE 3600.0 / (e.answer_seconds / (e.answered - e.returned)) END) / (e.answered + e.expired)"
    )
    + " END",
    "load": "CASE WHEN e.accepted + e.pending = 0 AND COALESCE(e.maximum, 1) > 0 THEN 1.0"
    f" WHEN e.maximum IS NULL THEN {_rounded('CAST(50 AS DOUBLE PRECISION) / (50 + e.accepted + e.pending)')}"
    " WHEN e.accepted + e.pending >= e.maximum THEN 0.0"
    f" ELSE {_rounded('1.0 - CAST(e.accepted + e.pending AS DOUBLE PRECISION) / e.maximum')} END",
    "freshness": "CASE WHEN :now > e.updated THEN "
    + _rounded("POWER(CAST(0.5 AS DOUBLE PRECISION), (:now - e.updated) / 86400.0 / 90.0)")
    + " ELSE 1.0 END",
    "cost": "e.affordability",
}
_TOTAL: Final = sum(_WEIGHTS.values())
_SCORE: Final = _rounded(
    f"({' + '.join(f'{weight} * x.{name}' for name, weight in _WEIGHTS.items())}) / {_TOTAL}"
)


def _scored(source: str) -> str:
    """Return the eligible candidates with their contributions and scores."""
    values = ", ".join(
        f"CAST({value} AS DOUBLE PRECISION) AS {name}" for name, value in _CONTRIBUTIONS.items()
    )
    return f"""scored AS MATERIALIZED (SELECT x.*, {_SCORE} AS score FROM (
  SELECT e.id, e.org, e.organization, e.service, e.status_order, e.last_asked,
    e.answered + e.expired AS judged, {values} FROM {source} e WHERE e.failed = 0) x)"""  # noqa: S608


# The columns that a decision returns for a candidate besides its failed rules and score: the evidence of each
# rule, and the observation of the organisation.
_ANSWERED: Final = (
    *(
        "id",
        "organization",
        "service",
        "revision",
        "country",
        "vetting",
        "opt_in",
        "cost",
        "status",
        "spoken",
    ),
    *("maximum", "unit", "stated", "sexes", "ages", "stages", "specials", "full_since", "own", "senders"),
    *("answered", "expired", "returned", "answer_seconds", "last_asked", "accepted", "pending", "declined"),
    *(name for name in _LOOKED_UP if name != "excluded"),
    "failed",
)

_FAILED: Final = " + ".join(
    f"CASE WHEN {rule} THEN 0 ELSE {1 << number} END" for number, rule in enumerate(_RULES.values())
)
# The order of the answer: by rank, then services of organisations with a better one, then the ineligible.
_DECIDED: Final = f"""WITH {_FOUND},
evidence AS MATERIALIZED {_EVIDENCE},
judged AS MATERIALIZED (SELECT e.*, {_FAILED} AS failed FROM evidence e),
{_scored("judged")},
tied AS MATERIALIZED (
  SELECT s.*, {{tie}} AS tie, ROW_NUMBER() OVER (
    PARTITION BY s.org ORDER BY s.status_order, s.score DESC, s.service) AS place_within FROM scored s),
first AS MATERIALIZED (
  SELECT status_order, score FROM tied ORDER BY status_order, score DESC LIMIT 1),
banded AS (
  SELECT t.*, CASE WHEN t.status_order = first.status_order
    AND {_rounded("first.score - t.score")} <= {_FAIRNESS.band} THEN 1 ELSE 0 END AS equal
  FROM tied t CROSS JOIN first WHERE t.place_within = 1),
ordered AS MATERIALIZED (
  SELECT b.*, ROW_NUMBER() OVER (ORDER BY b.equal DESC,
    CASE WHEN b.equal = 1 THEN COALESCE(b.last_asked, -1) ELSE 0 END,
    b.status_order, b.score DESC, b.tie) AS place FROM banded b),
explored AS MATERIALIZED (
  SELECT r.id, r.place FROM ordered r CROSS JOIN first
  WHERE :draw < {_FAIRNESS.explore} AND r.status_order = first.status_order AND r.place > 1
    AND (r.equal = 0 OR r.judged < {_FAIRNESS.few})
  ORDER BY COALESCE(r.last_asked, -1), r.score DESC, r.tie LIMIT 1)
SELECT {", ".join(f"j.{name}" for name in _ANSWERED)},
  t.needs_covered, t.nearness, t.language, t.responsiveness, t.load, t.freshness, t.cost AS cost_value,
  t.score, r.equal, x.id AS explored,
  CASE WHEN x.place IS NULL OR r.place > x.place THEN r.place
       WHEN r.place = x.place THEN 1 ELSE r.place + 1 END AS rank
FROM judged j LEFT JOIN tied t ON t.id = j.id LEFT JOIN ordered r ON r.id = j.id
  LEFT JOIN explored x ON TRUE
ORDER BY CASE WHEN r.place IS NOT NULL THEN 0 WHEN t.score IS NOT NULL THEN 1 ELSE 2 END, rank,
  t.status_order, t.score DESC, t.tie, t.service, j.id"""  # noqa: S608 - constants of this module

_ELIGIBLE: Final = f"""WITH {_FOUND},
evidence AS NOT MATERIALIZED {_EVIDENCE},
{_scored(f"(SELECT e.*, 0 AS failed FROM evidence e WHERE {' AND '.join(_RULES.values())})")}
SELECT organization, service, score FROM scored"""  # noqa: S608 - constants of this module

_ELSEWHERE: Final = "SELECT COUNT(DISTINCT org) FROM meeting WHERE code IN (:code1, :code2)"

# SQLite has no hash function: the connection gets one (`matching_databases.py`).
_TIES: Final = {
    "SQLite": "sha256(:referral || ' ' || s.organization)",
    "PostgreSQL": "sha256(CONVERT_TO(:referral || ' ' || s.organization, 'UTF8'))",
}


def statements(database: str) -> Mapping[str, str]:
    """Return the statements by name, with named parameters. database: "SQLite" or "PostgreSQL"."""
    return {
        "decided": _DECIDED.format(tie=_TIES[database]),
        "eligible": _ELIGIBLE,
        "elsewhere": _ELSEWHERE,
    }


def failed_rules(failed: int) -> frozenset[str]:
    """Return the names of the rules of a row's bits."""
    return frozenset(name for number, name in enumerate(_RULES) if failed >> number & 1)


def parameters_of(statement: str) -> list[str]:
    """Return the names of the parameters, in the order in which they first appear."""
    return list(dict.fromkeys(re.findall(r":([a-z_]+[0-9]*)", statement)))


def _filled(prefix: str, count: int, values: Sequence[Any], filler: Any = None) -> dict[str, Any]:
    if len(values) > count:
        raise ValueError(f"a referral of the benchmark has more than {count} of {prefix}")
    return dict(zip(_names(prefix, count), [*values, *[filler] * (count - len(values))], strict=True))


def arguments(given: Circumstances, referral: AskedReferral, sender_key: int) -> dict[str, Any]:
    """Return the value of each parameter. sender_key: of the sender in the table `org`."""
    facts, consent = given.facts, given.facts.consent
    sender = given.directory.organization(given.sender)
    vetted = sender is not None and sender.vetting is Vetting.vetted
    # As `decide()` does, by the referral and the number of those asked before.
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
        **_filled("language", LANGUAGES, facts.languages, ""),
        **_filled("kind", KINDS, [kind.value for kind in consent.opt_in_kinds], ""),
        **_filled("excluded", EXCLUDED, consent.excluded_organizations, ""),
        **_filled("storage", COUNTRIES, consent.storage_countries, ""),
        **_filled("asked", ASKED, sorted(given.asked)),
        **_filled("declined", ASKED, [at and at.timestamp() for at in declined]),
    }
