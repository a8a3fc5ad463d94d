"""The evidence of `matching_sql.py` over tables laid out for this question (`matching_schema.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.matching_parameters import EXCLUDED, LANGUAGES, NEEDS, listed
from benchmarks.matching_schema import EVERYONE
from benchmarks.matching_sql import ASKED_BEFORE, NEEDS_DISCLOSED, Evidence


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
            WHERE l.service = t.id AND l.lang IN ({listed("language", LANGUAGES)})))))"""  # noqa: S608


_SPOKEN: Final = f"""(SELECT MAX(CASE WHEN l.own = 0 THEN 1 WHEN l.lang = :language THEN 3 ELSE 2 END)
    FROM speaks l WHERE l.service = s.id AND l.lang IN ({listed("language", LANGUAGES)}))"""  # noqa: S608
_EXCLUDED: Final = f"""EXISTS (SELECT 1 FROM above x
    WHERE x.org = o.id AND x.above IN ({listed("excluded", EXCLUDED)}))"""  # noqa: S608
_OF_ORIGIN: Final = """(s.origins = 0
    OR EXISTS (SELECT 1 FROM origin b WHERE b.service = s.id AND b.country = :origin))"""
# Whether places are scarce, so that the share of a sender decides.
_SCARCE: Final = "(s.maximum IS NOT NULL AND (s.waiting > 0 OR s.accepted + s.pending >= s.maximum))"

# The evidence that is a condition, by column.
_LOOKED_UP: Final[Mapping[str, str]] = {
    **{f"disclosed{slot}": _disclosed(slot) for slot in range(1, NEEDS + 1)},
    **{f"approved{slot}": _approved(slot) for slot in range(1, NEEDS + 1)},
    "excluded": _EXCLUDED,
    "of_settlement": "(s.settlements & :settlement) <> 0",
    "of_sex": "(s.sexes & :sex) <> 0",
    "of_age": "(s.ages & :age) <> 0",
    "of_stage": "(s.stages & :stage) <> 0",
    "of_special": "(s.specials = 0 OR (s.specials & :special) <> 0)",
    "of_origin": _OF_ORIGIN,
}
# IN: for a join with `found`, SQLite fills a Bloom filter with all rows of `service`, in most of its time.
_FOUND: Final = f"""{NEEDS_DISCLOSED},
granted AS MATERIALIZED (
  SELECT DISTINCT n.slot, a.id AS agreement,
    CASE WHEN EXISTS (SELECT 1 FROM party e WHERE e.org = {EVERYONE} AND e.agreement = a.id)
         THEN 1 ELSE 0 END AS everyone
  FROM party p JOIN agreement a ON a.id = p.agreement JOIN needed n ON n.code IS NOT NULL
  WHERE p.org IN (:sender_key, :everyone) AND a.since <= :today AND (a.until IS NULL OR a.until >= :today)
    AND (:strict = 0 OR a.sensitive = 1)
    AND (a.for_all_needs = 1 OR EXISTS (
      SELECT 1 FROM covers c WHERE c.agreement = a.id AND c.code IN (n.code, n.grp)))),
found AS MATERIALIZED (
  SELECT service, MAX(CASE WHEN area = :region THEN 1 ELSE 0 END) AS near FROM met
  WHERE code IN (:code1, :code2) AND area IN (:region, :country) GROUP BY service),
claim AS (
  SELECT d.service, d.sender, SUM(d.offers) AS offers, SUM(d.waiting) AS waiting FROM demand d
  WHERE d.urgency <= :level AND d.service IN (
    SELECT s.id FROM service s WHERE s.id IN (SELECT service FROM found) AND {_SCARCE})
  GROUP BY d.service, d.sender),
claims AS MATERIALIZED (
  SELECT service, SUM(offers) AS held, SUM(CASE WHEN sender = :sender THEN offers ELSE 0 END) AS own,
    COUNT(*) + 1 - MAX(CASE WHEN sender = :sender THEN 1 ELSE 0 END) AS senders,
    MIN(CASE WHEN waiting > 0 AND sender <> :sender THEN offers END) AS least_waiting
  FROM claim GROUP BY service),
{ASKED_BEFORE}"""  # noqa: S608
_JOINED: Final = """FROM found f JOIN service s ON s.id = f.service JOIN org o ON o.id = s.org
  LEFT JOIN claims c ON c.service = s.id LEFT JOIN asked a ON a.name = o.name"""
_ORG: Final = (
    *("revision", "country", "active", "receives", "vetting", "opt_in", "answered", "expired"),
    *("returned", "answer_seconds", "last_asked"),
)
_SERVICE: Final = (
    *("org", "cost", "affordability", "status", "status_order", "maximum", "unit", "updated", "stated"),
    *("always_open", "spoken", "accepted", "pending", "full_since"),
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
    WHERE v.org = e.org AND v.code IN ({listed("wanted", NEEDS)}))"""  # noqa: S608
TAILORED_EVIDENCE: Final = Evidence(
    found=_FOUND,
    candidates=_EVIDENCE,
    covered=_COVERED,
    spoken="j.spoken",
    elsewhere="SELECT COUNT(DISTINCT org) FROM meeting WHERE code IN (:code1, :code2)",
)
