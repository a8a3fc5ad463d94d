"""The evidence of `matching_sql.py` over the normalised tables of `matching_normalized_schema.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.matching_normalized_schema import TABLES
from benchmarks.matching_parameters import CATEGORIES, EXCLUDED, LANGUAGES, NEEDS, listed
from benchmarks.matching_schema import EVERYONE
from benchmarks.matching_sql import ASKED_BEFORE, NEEDS_DISCLOSED, Evidence
from contracts.codes import OPT_IN_KINDS
from services.routing.domain.capacity import ORDER_OF_CAPACITY
from services.routing.domain.offered_service import AFFORDABILITY
from services.routing.domain.places import ORDER_OF_URGENCY

_KINDS: Final = ", ".join(f"'{kind.value}'" for kind in sorted(OPT_IN_KINDS))


def _case(column: str, values: Mapping[str, object]) -> str:
    """Return the value for each code of a vocabulary."""
    return f"CASE {column} {' '.join(f'WHEN {code!r} THEN {value!r}' for code, value in values.items())} END"


_ORDER: Final = _case("p.status", {str(code): order for code, order in ORDER_OF_CAPACITY.items()})
_STATUS: Final = " ".join(f"WHEN {order} THEN '{code.value}'" for code, order in ORDER_OF_CAPACITY.items())
_LEVEL: Final = _case("d.urgency", {str(code): order for code, order in ORDER_OF_URGENCY.items()})
_COST: Final = _case("s.cost", {str(code): value for code, value in AFFORDABILITY.items()})


def _disclosed(slot: int) -> str:
    """Whether agreements allow the sender to disclose this need to the organisation."""
    return f"""(:need{slot} IS NULL
    OR o.vetting = 'vetted' AND EXISTS (SELECT 1 FROM granted g WHERE g.slot = {slot} AND g.everyone = 1)
    OR EXISTS (SELECT 1 FROM granted g JOIN agreement_party y ON y.agreement = g.agreement
               WHERE g.slot = {slot} AND y.organization = o.id))"""  # noqa: S608


def _for(service: str, table: str, column: str, values: str) -> str:
    """Whether the service's list is empty or has one of the values."""
    assert table in TABLES
    listed_for = f"SELECT 1 FROM {table} x WHERE x.service = {service}"  # noqa: S608
    return f"(NOT EXISTS ({listed_for}) OR EXISTS ({listed_for} AND x.{column} IN ({values})))"


def _for_person(service: str) -> Mapping[str, str]:
    """Whether the service is for the person, by what is asked."""
    settlements = f"SELECT 1 FROM service_settlement x WHERE x.service = {service}"  # noqa: S608
    return {
        "of_settlement": f"EXISTS ({settlements} AND x.settlement = :settlement_code)",
        "of_sex": _for(service, "service_sex", "sex", ":sex_code"),
        "of_age": _for(service, "service_age_band", "age_band", ":age_code"),
        "of_stage": _for(service, "service_stage", "stage", ":stage_code"),
        "of_special": _for(service, "service_category", "category", listed("category", CATEGORIES)),
        "of_origin": _for(service, "service_origin", "country", ":origin"),
    }


def _approved(slot: int) -> str:
    """Whether the service is approved for the need, or for a further need one that serves the person."""
    if slot == 1:
        return """(:sensitive1 = 0 OR EXISTS (SELECT 1 FROM approval v
            WHERE v.service = s.id AND v.need IN (:need1, :group1)))"""
    return f"""(:sensitive{slot} = 0 OR EXISTS (SELECT 1 FROM service t
        WHERE t.organization = o.id
        AND EXISTS (SELECT 1 FROM approval v
            WHERE v.service = t.id AND v.need IN (:need{slot}, :group{slot}))
        AND EXISTS (SELECT 1 FROM service_need n JOIN need c ON c.code = n.need
            WHERE n.service = t.id AND (n.need IN (:need{slot}, :group{slot}) OR c.grp = :need{slot}))
        AND (t.id = s.id OR EXISTS (SELECT 1 FROM service_area r
                WHERE r.service = t.id AND r.area IN (:region, :country))
            AND {" AND ".join(_for_person("t.id").values())}
            AND EXISTS (SELECT 1 FROM service_language l
                WHERE l.service = t.id AND l.language IN ({listed("language", LANGUAGES)})))))"""  # noqa: S608


# The organisations above one that has a parent, nearest first.
_ABOVE: Final = """WITH RECURSIVE above (id, name, kind, parent, distance) AS (
    SELECT u.id, u.name, u.kind, u.parent, 1 FROM organization u WHERE u.id = o.parent
    UNION ALL SELECT u.id, u.name, u.kind, u.parent, above.distance + 1
    FROM above JOIN organization u ON u.id = above.parent)"""
_OPT_IN: Final = f"""CASE WHEN o.kind IN ({_KINDS}) THEN o.kind WHEN o.parent IS NOT NULL THEN (
    {_ABOVE} SELECT kind FROM above WHERE kind IN ({_KINDS}) ORDER BY distance LIMIT 1) END"""  # noqa: S608
_EXCLUDED: Final = f"""(o.name IN ({listed("excluded", EXCLUDED)}) OR o.parent IS NOT NULL AND EXISTS (
    {_ABOVE} SELECT 1 FROM above WHERE name IN ({listed("excluded", EXCLUDED)})))"""  # noqa: S608
_TONGUE: Final = f"""(SELECT
    MAX(CASE WHEN l.interpreted = 1 THEN 1 WHEN l.language = :language THEN 3 ELSE 2 END)
    FROM service_language l
    WHERE l.service = s.id AND l.language IN ({listed("language", LANGUAGES)}))"""  # noqa: S608
_SPOKEN: Final = """CASE WHEN j.tongue IS NULL THEN (SELECT {joined} FROM (
    SELECT DISTINCT l.language FROM service_language l WHERE l.service = j.id ORDER BY l.language) b) END"""
# For a service with several capacities: the unit of the status if another than `capacity` binds, or of the
# lowest maximum.
_UNIT: Final = f"""CASE WHEN q.stated_capacities = 1 THEN NULL
    WHEN q.maximum IS NULL OR q.status_order > 0 THEN (SELECT p.unit FROM service_capacity p
      WHERE p.service = s.id ORDER BY {_ORDER} DESC, p.place LIMIT 1)
    ELSE (SELECT p.unit FROM service_capacity p
      WHERE p.service = s.id AND p.maximum IS NOT NULL ORDER BY p.maximum, p.place LIMIT 1) END"""  # noqa: S608
# Whether places are scarce, so that the share of a sender decides.
_SCARCE: Final = """(q.maximum IS NOT NULL
    AND (c.waiting > 0 OR COALESCE(v.accepted, 0) + COALESCE(c.pending, 0) >= q.maximum))"""

# CROSS JOIN: SQLite joins in this order, and would otherwise read all rows of a table for some hundred found.
_FOUND: Final = f"""{NEEDS_DISCLOSED},
granted AS MATERIALIZED (
  SELECT DISTINCT n.slot, a.id AS agreement,
    CASE WHEN EXISTS (SELECT 1 FROM agreement_party e
      WHERE e.organization = {EVERYONE} AND e.agreement = a.id) THEN 1 ELSE 0 END AS everyone
  FROM agreement_party p JOIN agreement a ON a.id = p.agreement JOIN needed n ON n.code IS NOT NULL
  WHERE p.organization IN (:sender_key, :everyone)
    AND a.since <= :today AND (a.until IS NULL OR a.until >= :today)
    AND (:strict = 0 OR a.disclosure = 'sensitive')
    AND (NOT EXISTS (SELECT 1 FROM agreement_need c WHERE c.agreement = a.id)
      OR EXISTS (SELECT 1 FROM agreement_need c WHERE c.agreement = a.id AND c.need IN (n.code, n.grp)))),
found AS MATERIALIZED (
  SELECT m.service, CASE WHEN EXISTS (SELECT 1 FROM service_area r
      WHERE r.service = m.service AND r.area = :region) THEN 1 ELSE 0 END AS near
  FROM (SELECT service FROM service_area WHERE area IN (:region, :country)
    INTERSECT SELECT service FROM service_need WHERE need IN (
      SELECT code FROM need WHERE code IN (:principal, :principal_group) OR grp = :whole_group)) m),
claim AS (
  SELECT d.service, d.sender, SUM(d.offers) AS pending, SUM(d.waiting) AS all_waiting,
    SUM(CASE WHEN {_LEVEL} <= :level THEN d.offers ELSE 0 END) AS offers,
    SUM(CASE WHEN {_LEVEL} <= :level THEN d.waiting ELSE 0 END) AS waiting,
    MAX(CASE WHEN {_LEVEL} <= :level THEN 1 ELSE 0 END) AS counts
  FROM found f CROSS JOIN service_demand d WHERE d.service = f.service GROUP BY d.service, d.sender),
claims AS MATERIALIZED (
  SELECT service, SUM(pending) AS pending, SUM(all_waiting) AS waiting, SUM(offers) AS held,
    SUM(CASE WHEN sender = :sender THEN offers ELSE 0 END) AS own,
    SUM(counts) + 1 - MAX(CASE WHEN sender = :sender THEN counts ELSE 0 END) AS senders,
    MIN(CASE WHEN waiting > 0 AND sender <> :sender THEN offers END) AS least_waiting
  FROM claim GROUP BY service),
tightest AS MATERIALIZED (
  SELECT p.service, MAX({_ORDER}) AS status_order, MIN(p.maximum) AS maximum, MIN(p.updated) AS updated,
    MAX(p.updated) AS stated, COUNT(*) AS stated_capacities
  FROM found f CROSS JOIN service_capacity p WHERE p.service = f.service GROUP BY p.service),
{ASKED_BEFORE}"""  # noqa: S608
_LOOKED_UP: Final[Mapping[str, str]] = {
    **{f"disclosed{slot}": _disclosed(slot) for slot in range(1, NEEDS + 1)},
    **{f"approved{slot}": _approved(slot) for slot in range(1, NEEDS + 1)},
    "excluded": _EXCLUDED,
    **_for_person("s.id"),
}
_CANDIDATES: Final = f"""(
  SELECT s.id, s.organization AS org, o.name AS organization, s.name AS service, f.near,
    o.revision, o.country, o.active, CASE WHEN o.sealing_key IS NULL THEN 0 ELSE 1 END AS receives,
    o.vetting, {_OPT_IN} AS opt_in,
    COALESCE(w.answered, 0) AS answered, COALESCE(w.expired, 0) AS expired,
    COALESCE(w.returned, 0) AS returned, COALESCE(w.answer_seconds, 0.0) AS answer_seconds, w.last_asked,
    s.cost, {_COST} AS affordability, CASE q.status_order {_STATUS} END AS status,
    q.status_order, q.maximum, {_UNIT} AS unit, q.updated, q.stated, s.always_open,
    COALESCE(v.accepted, 0) AS accepted, COALESCE(c.pending, 0) AS pending, v.full_since,
    CASE WHEN {_SCARCE} THEN 1 ELSE 0 END AS scarce, COALESCE(c.held, 0) AS held,
    COALESCE(c.own, 0) AS own, COALESCE(c.senders, 1) AS senders, c.least_waiting,
    a.name AS asked, a.declined, {_TONGUE} AS tongue,
    {", ".join(f"CASE WHEN {test} THEN 1 ELSE 0 END AS {name}" for name, test in _LOOKED_UP.items())}
  FROM found f CROSS JOIN service s CROSS JOIN organization o CROSS JOIN tightest q
    LEFT JOIN organization_observation w ON w.organization = s.organization
    LEFT JOIN service_observation v ON v.service = f.service
    LEFT JOIN claims c ON c.service = f.service LEFT JOIN asked a ON a.name = o.name
  WHERE s.id = f.service AND o.id = s.organization AND q.service = f.service)"""  # noqa: S608


def _covers(slot: int) -> str:
    """1 if the organisation of a candidate meets one of the referral's needs, otherwise 0."""
    wanted, group = f":wanted{slot}", f":wanted_group{slot}"
    return f"""CASE WHEN {wanted} <> '' AND EXISTS (
      SELECT 1 FROM service t JOIN service_need n ON n.service = t.id JOIN need k ON k.code = n.need
      WHERE t.organization = e.org AND (n.need IN ({wanted}, {group}) OR k.grp = {wanted})
        AND (k.sensitive = 0 OR EXISTS (
          SELECT 1 FROM approval v WHERE v.service = t.id AND v.need IN (n.need, k.grp))))
      THEN 1 ELSE 0 END"""  # noqa: S608


_JOINED: Final = {"SQLite": "GROUP_CONCAT(b.language, ' ')", "PostgreSQL": "STRING_AGG(b.language, ' ')"}


def normalized(database: str) -> Evidence:
    """Return the evidence in the dialect of "SQLite" or "PostgreSQL"."""
    return Evidence(
        found=_FOUND,
        candidates=_CANDIDATES,
        spoken=_SPOKEN.format(joined=_JOINED[database]),
        covered=f"({' + '.join(map(_covers, range(1, NEEDS + 1)))})",
        elsewhere="""SELECT COUNT(DISTINCT s.organization) FROM service_need n
          JOIN service s ON s.id = n.service WHERE n.need IN (
            SELECT code FROM need WHERE code IN (:principal, :principal_group) OR grp = :whole_group)""",
    )
