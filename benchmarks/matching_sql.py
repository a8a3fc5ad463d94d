"""The questions of `decide()` in SQL: what each statement asks of a candidate's evidence.

`decided` asks for the result of `decide()` for a search: every candidate with its revision, and each rule
that it fails with the evidence. For eligible candidates it also asks for the contributions, the score, the
rank and the turn. Observations are part of it: answers, cases held, open offers with the share of each
sender, declines for lack of capacity. `elsewhere` counts the organisations that meet the need in other
regions, for a decision without candidates. `eligible` is a smaller question: the eligible services with their
scores.

The evidence comes from tables laid out for this one question (`matching_tailored_sql.py`) or from normalised
ones (`matching_normalized_sql.py`).

Left out, which favours the databases: the demand at those services of a candidate's organisation that are no
candidates, which a decision records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.matching_network import POLICY
from benchmarks.matching_parameters import COUNTRIES, KINDS, NEEDS, listed
from services.routing.domain.observation import UNKNOWN_RESPONSIVENESS


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """How tables answer what the rules and scores read of the candidates.

    found: common table expressions, without the word WITH. candidates: a subquery with a row for each
    candidate. covered: over such a row `e`, how many of the referral's
    needs its organisation meets. spoken: over a row `j`, the languages of a service that has none of the
    person's. elsewhere: a statement that counts the organisations that meet the need.
    """

    found: str
    candidates: str
    covered: str
    spoken: str
    elsewhere: str


# The common table expressions that read no table: the needs to disclose, and the organisations asked before.
NEEDS_DISCLOSED: Final = """
needed (slot, code, grp) AS (VALUES (1, :need1, :group1), (2, :need2, :group2), (3, :need3, :group3))"""
ASKED_BEFORE: Final = """asked (name, declined) AS (VALUES (:asked1, :declined1), (:asked2, :declined2),
  (:asked3, :declined3), (:asked4, :declined4))"""

_WEIGHTS: Final = POLICY.weights.by_name()
_FAIRNESS: Final = POLICY.fairness
_LEAST: Final = POLICY.offers_per_sender.least


def _rounded(value: str) -> str:
    return f"ROUND(({value}) * CAST(1000000 AS DOUBLE PRECISION)) / 1000000"


_SHARE: Final = f"""CASE WHEN (e.maximum - e.accepted) / e.senders > {_LEAST}
    THEN (e.maximum - e.accepted) / e.senders ELSE {_LEAST} END"""

# The conditions that an answer returns. disclosed, approved: by slot of the needs. of_sex and so on: whether
# the service is for the person.
_LOOKED_UP: Final = (
    *(f"disclosed{slot}" for slot in range(1, NEEDS + 1)),
    *(f"approved{slot}" for slot in range(1, NEEDS + 1)),
    *("of_sex", "of_age", "of_stage", "of_special", "of_origin"),
)

# Each rule that can fail for a search of the benchmark, by its name in `rules.py`, over the evidence.
_RULES: Final[Mapping[str, str]] = {
    "organization_active": "e.active = 1",
    "organization_vetted": "e.vetting = 'vetted'",
    "not_the_sender": "e.org <> :sender_key",
    "kind_consented": f"(e.opt_in IS NULL OR e.opt_in IN ({listed('kind', KINDS)}))",
    "can_receive": "e.receives = 1",
    "cost_accepted": "(:pays = 1 OR e.cost = 'free')",
    "capacity_left": "e.status <> 'no_capacity' AND (:emergency = 0 OR e.status <> 'waitlist')",
    "open_now": "(:emergency = 0 OR e.always_open = 1)",
    "storage_allowed": f"(:anywhere = 1 OR e.country IN ({listed('storage', COUNTRIES)}))",
    "capacity_not_declined": "(e.full_since IS NULL OR e.stated > e.full_since"
    " OR :now >= e.full_since + :full_for)",
    "place_left": f"""(e.scarce = 0 OR e.accepted < e.maximum AND (e.own < {_SHARE}
        OR e.held < e.maximum - e.accepted AND (e.least_waiting IS NULL OR e.least_waiting >= e.own)))""",
    "not_asked_before": "(e.asked IS NULL OR e.declined IS NOT NULL AND e.stated > e.declined"
    " AND :now >= e.declined + :full_for)",
    # After the rules that read a row only, so that the smaller question seldom looks these up.
    "settlement_served": "e.of_settlement = 1",
    "language_shared": "e.tongue IS NOT NULL",
    "not_excluded": "e.excluded = 0",
    "person_eligible": "e.of_sex = 1 AND e.of_age = 1 AND e.of_stage = 1 AND e.of_special = 1"
    " AND e.of_origin = 1",
    "agreement_in_force": "e.disclosed1 = 1 AND e.disclosed2 = 1 AND e.disclosed3 = 1",
    "service_approved": "e.approved1 = 1 AND e.approved2 = 1 AND e.approved3 = 1",
}

_CONTRIBUTIONS: Final[Mapping[str, str]] = {
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
# Of an organisation that no offer has judged, unless the referral is an emergency.
_BENEFIT: Final = round(_WEIGHTS["responsiveness"] * (1.0 - UNKNOWN_RESPONSIVENESS) / _TOTAL, 6)
# How far an organisation's score lies behind the best, for the band of equals.
_BEHIND: Final = (
    f"first.score - t.score - CASE WHEN t.judged = 0 AND :emergency = 0 THEN {_BENEFIT} ELSE 0 END"
)
_SCORE: Final = _rounded(
    f"({' + '.join(f'{weight} * x.{name}' for name, weight in _WEIGHTS.items())}) / {_TOTAL}"
)


def _scored(covered: str, source: str) -> str:
    """Return the eligible candidates with their contributions and scores."""
    needs_covered = _rounded(f"CAST({covered} AS DOUBLE PRECISION) / :needs")
    contributions = {"needs_covered": needs_covered, **_CONTRIBUTIONS}
    values = ", ".join(
        f"CAST({value} AS DOUBLE PRECISION) AS {name}" for name, value in contributions.items()
    )
    return f"""scored AS MATERIALIZED (SELECT x.*, {_SCORE} AS score FROM (
  SELECT e.id, e.org, e.organization, e.service, e.status_order, e.last_asked,
    e.answered + e.expired AS judged, {values} FROM {source} e WHERE e.failed = 0) x)"""  # noqa: S608


# The columns that a decision returns for a candidate besides its failed rules and score: the evidence of each
# rule, and the observation of the organisation.
_ANSWERED: Final = (
    *("id", "organization", "service", "revision", "country", "vetting", "opt_in", "cost", "status"),
    *("maximum", "unit", "stated", "full_since", "own", "senders"),
    *("answered", "expired", "returned", "answer_seconds", "last_asked", "accepted", "pending", "declined"),
    *_LOOKED_UP,
    "failed",
)

_FAILED: Final = " + ".join(
    f"CASE WHEN {rule} THEN 0 ELSE {1 << number} END" for number, rule in enumerate(_RULES.values())
)


def _decided(evidence: Evidence, tie: str) -> str:
    # The order of the answer: by rank, then services of organisations with a better one, then the ineligible.
    return f"""WITH {evidence.found},
evidence AS MATERIALIZED {evidence.candidates},
judged AS MATERIALIZED (SELECT e.*, {_FAILED} AS failed FROM evidence e),
{_scored(evidence.covered, "judged")},
tied AS MATERIALIZED (
  SELECT s.*, {tie} AS tie, ROW_NUMBER() OVER (
    PARTITION BY s.org ORDER BY s.status_order, s.score DESC, s.service) AS place_within FROM scored s),
first AS MATERIALIZED (
  SELECT status_order, score FROM tied ORDER BY status_order, score DESC LIMIT 1),
banded AS (
  SELECT t.*, CASE WHEN t.status_order = first.status_order
    AND {_rounded(_BEHIND)} <= {_FAIRNESS.band} THEN 1 ELSE 0 END AS equal
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
SELECT {", ".join(f"j.{name}" for name in _ANSWERED)}, {evidence.spoken} AS spoken,
  t.needs_covered, t.nearness, t.language, t.responsiveness, t.load, t.freshness, t.cost AS cost_value,
  t.score, r.equal, x.id AS explored,
  CASE WHEN x.place IS NULL OR r.place > x.place THEN r.place
       WHEN r.place = x.place THEN 1 ELSE r.place + 1 END AS rank
FROM judged j LEFT JOIN tied t ON t.id = j.id LEFT JOIN ordered r ON r.id = j.id
  LEFT JOIN explored x ON TRUE
ORDER BY CASE WHEN r.place IS NOT NULL THEN 0 WHEN t.score IS NOT NULL THEN 1 ELSE 2 END, rank,
  t.status_order, t.score DESC, t.tie, t.service, j.id"""  # noqa: S608 - constants of this module


def _eligible(evidence: Evidence) -> str:
    passed = f"(SELECT e.*, 0 AS failed FROM evidence e WHERE {' AND '.join(_RULES.values())})"  # noqa: S608
    return f"""WITH {evidence.found},
evidence AS NOT MATERIALIZED {evidence.candidates},
{_scored(evidence.covered, passed)}
SELECT organization, service, score FROM scored"""  # noqa: S608 - constants of these modules


# SQLite has no hash function: the connection gets one (`matching_databases.py`).
_TIES: Final = {
    "SQLite": "sha256(:referral || ' ' || s.organization)",
    "PostgreSQL": "sha256(CONVERT_TO(:referral || ' ' || s.organization, 'UTF8'))",
}


def statements(database: str, evidence: Evidence) -> Mapping[str, str]:
    """Return the statements by name, with named parameters. database: "SQLite" or "PostgreSQL"."""
    return {
        "decided": _decided(evidence, _TIES[database]),
        "eligible": _eligible(evidence),
        "elsewhere": evidence.elsewhere,
    }


def failed_rules(failed: int) -> frozenset[str]:
    """Return the names of the rules of a row's bits."""
    return frozenset(name for number, name in enumerate(_RULES) if failed >> number & 1)
