"""The questions of `decide()` in SQL, on an indexed schema.

`ELIGIBLE` asks for a referral's eligible services with their scores: the hard rules are conditions of one
statement, and the score is an expression of it. `EXPLAINED` asks for what `decide()` returns: every candidate
with each rule that it fails, and the score of the eligible ones. Observations and offers are left out: the
benchmark has none. The ranks of organisations, their turns and the evidence of each failed rule are left out
too, which favours the databases.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, String, bindparam, text

from contracts.codes import OPT_IN_KINDS, Funding, Vetting
from contracts.organization import Agreement, Organization
from contracts.referral import ReferralFacts
from contracts.vocabularies import country_of, need_group, sensitive_needs
from services.routing.domain.disclosure import disclosure_class
from services.routing.domain.policy import Weights

_ELIGIBILITY: Final = {
    "sexes": "sex",
    "age_bands": "age",
    "stages": "stage",
    "origin_countries": "origin",
    "special_categories": "special",
}
_COST: Final = {Funding.free: 1.0, Funding.at_cost: 0.5, Funding.commercial: 0.0}

SCHEMA: Final = (
    "CREATE TABLE org (id TEXT PRIMARY KEY, country TEXT, active INT, receives INT, vetted INT, opt_in TEXT)",
    "CREATE TABLE above (org TEXT, above TEXT, PRIMARY KEY (org, above))",
    "CREATE TABLE service (org TEXT, svc TEXT, cost DOUBLE PRECISION, status TEXT, places INT,"
    " updated DOUBLE PRECISION, always INT, PRIMARY KEY (org, svc))",
    "CREATE TABLE service_need (code TEXT, area TEXT, org TEXT, svc TEXT,"
    " PRIMARY KEY (code, area, org, svc))",
    "CREATE TABLE service_area (org TEXT, svc TEXT, area TEXT, PRIMARY KEY (org, svc, area))",
    "CREATE TABLE spoken (org TEXT, svc TEXT, lang TEXT, own INT, PRIMARY KEY (org, svc, lang))",
    "CREATE TABLE settlement (org TEXT, svc TEXT, code TEXT, PRIMARY KEY (org, svc, code))",
    "CREATE TABLE bound (org TEXT, svc TEXT, kind TEXT, code TEXT, PRIMARY KEY (org, svc, kind, code))",
    "CREATE TABLE approval (org TEXT, svc TEXT, code TEXT, PRIMARY KEY (org, svc, code))",
    "CREATE TABLE agreement (id TEXT PRIMARY KEY, class TEXT, since TEXT, until TEXT)",
    "CREATE TABLE party (org TEXT, id TEXT, PRIMARY KEY (org, id))",
    "CREATE TABLE covers (id TEXT, code TEXT, PRIMARY KEY (id, code))",
)

# The referral's principal need, and each of its sensitive needs.
_DISCLOSED: Final = """NOT EXISTS (
  SELECT 1 FROM need_list n WHERE NOT EXISTS (
    SELECT 1 FROM agreement a WHERE a.since <= :today AND (a.until IS NULL OR a.until >= :today)
      AND (:class = 'standard' OR a.class = 'sensitive')
      AND (NOT EXISTS (SELECT 1 FROM covers c WHERE c.id = a.id)
           OR EXISTS (SELECT 1 FROM covers c WHERE c.id = a.id AND c.code IN (n.code, n.grp)))
      AND EXISTS (SELECT 1 FROM party p WHERE p.id = a.id
                  AND (p.org = :sender OR (p.org = '*' AND :sender_vetted = 1)))
      AND EXISTS (SELECT 1 FROM party p WHERE p.id = a.id
                  AND (p.org = o.id OR (p.org = '*' AND o.vetted = 1)))))
"""
_APPROVED: Final = """NOT EXISTS (
  SELECT 1 FROM need_list n WHERE n.sensitive = 1 AND NOT EXISTS (
    SELECT 1 FROM approval p WHERE p.org = s.org AND p.code IN (n.code, n.grp)
      AND (p.svc = s.svc OR n.principal = 0)))
"""
_BOUND: Final = "EXISTS (SELECT 1 FROM bound b WHERE b.org = s.org AND b.svc = s.svc AND b.kind = '{kind}'"
_BOUNDS: Final = " AND ".join(
    f"(NOT {_BOUND}) OR {_BOUND} AND b.code IN :{{kind}}))".format(kind=kind)
    for kind in _ELIGIBILITY.values()
)
_SPOKEN: Final = (
    "EXISTS (SELECT 1 FROM spoken l WHERE l.org = s.org AND l.svc = s.svc AND l.lang IN :languages"
)


# Each rule that can fail for a referral of the benchmark, by its name in `rules.py`.
_RULES: Final = {
    "organization_active": "o.active = 1",
    "organization_vetted": "o.vetted = 1",
    "not_the_sender": "o.id <> :sender",
    "not_excluded": "NOT EXISTS (SELECT 1 FROM above x WHERE x.org = o.id AND x.above IN :excluded)",
    "kind_consented": "(o.opt_in IS NULL OR o.opt_in IN :kinds)",
    "can_receive": "o.receives = 1",
    "cost_accepted": "(:pays = 1 OR s.cost = 1.0)",
    "capacity_left": "s.status <> 'no_capacity' AND (:emergency = 0 OR s.status <> 'waitlist')",
    "place_left": "(s.places IS NULL OR s.places > 0)",
    "open_now": "(:emergency = 0 OR s.always = 1)",
    "storage_allowed": "(:anywhere = 1 OR o.country IN :storage)",
    "settlement_served": "EXISTS (SELECT 1 FROM settlement x"
    " WHERE x.org = s.org AND x.svc = s.svc AND x.code = :settlement)",
    "language_shared": f"{_SPOKEN})",
    "person_eligible": _BOUNDS,
    "agreement_in_force": _DISCLOSED,
    "service_approved": _APPROVED,
}
_FOUND: Final = """
need_list (code, grp, sensitive, principal) AS (VALUES (:need, :grp, :sensitive, 1)),
found AS (SELECT DISTINCT org, svc FROM service_need WHERE code IN :codes AND area IN :places)"""
_JOINED: Final = "FROM found f JOIN service s ON s.org = f.org AND s.svc = f.svc JOIN org o ON o.id = s.org"
_ORDER: Final = (
    "ORDER BY CASE s.status WHEN 'capacity' THEN 0 WHEN 'assessment_required' THEN 1 ELSE 2 END, score DESC"
)


def _score(weights: Weights) -> str:
    total = sum(weights.by_name().values())
    return f"""(
    {weights.needs_covered} + {weights.responsiveness} * 0.5
  + {weights.nearness} * CASE WHEN EXISTS (SELECT 1 FROM service_area x WHERE x.org = s.org AND x.svc = s.svc
                                           AND x.area = :region) THEN 1.0 ELSE 0.5 END
  + {weights.language} * CASE
      WHEN EXISTS (SELECT 1 FROM spoken l WHERE l.org = s.org AND l.svc = s.svc AND l.own = 1
                   AND l.lang = :language) THEN 1.0
      WHEN {_SPOKEN} AND l.own = 1) THEN 0.7 ELSE 0.4 END
  + {weights.load} * CASE WHEN s.places = 0 THEN 0.0 ELSE 1.0 END
  + {weights.freshness} * POWER(
      0.5, CASE WHEN :now > s.updated THEN (:now - s.updated) / 7776000.0 ELSE 0 END)
  + {weights.cost} * s.cost) / {total}"""  # noqa: S608 - constants of this module


def _eligible(weights: Weights) -> str:
    return f"""WITH {_FOUND}
SELECT s.org, s.svc, {_score(weights)} AS score {_JOINED}
WHERE {" AND ".join(_RULES.values())} {_ORDER}"""


def _explained(weights: Weights) -> str:
    # Materialized, so that no database evaluates a rule twice.
    judged = ", ".join(f"CASE WHEN {rule} THEN 1 ELSE 0 END AS {name}" for name, rule in _RULES.items())
    holds = " AND ".join(f"s.{name} = 1" for name in _RULES)
    return f"""WITH {_FOUND},
judged AS MATERIALIZED (SELECT s.org, s.svc, s.cost, s.status, s.places, s.updated, {judged} {_JOINED})
SELECT s.org, s.svc, CASE WHEN {holds} THEN {_score(weights)} END AS score,
{", ".join(f"s.{name}" for name in _RULES)} FROM judged s {_ORDER}"""  # noqa: S608 - constants of this module


_LISTS: Final = ("codes", "places", "languages", "kinds", "excluded", "storage", *_ELIGIBILITY.values())
_BOUND_LISTS: Final = [bindparam(name, expanding=True, type_=String()) for name in _LISTS]
ELIGIBLE: Final = text(_eligible(Weights())).bindparams(*_BOUND_LISTS)
EXPLAINED: Final = text(_explained(Weights())).bindparams(*_BOUND_LISTS)


def failed_rules(row: Sequence[Any]) -> frozenset[str]:
    """Return the names of the rules that a candidate of `EXPLAINED` fails."""
    return frozenset(name for name, holds in zip(_RULES, row[3:], strict=True) if not holds)


def fill(
    connection: Connection, organizations: Sequence[Organization], agreements: Iterable[Agreement]
) -> None:
    """Create the schema with the directory's rows. Derived values are computed once, as Kopuro does."""
    for statement in SCHEMA:
        connection.exec_driver_sql(statement)
    known = {one.id: one for one in organizations}
    rows: dict[str, list[dict[str, Any]]] = {}

    def put(table: str, **row: Any) -> None:
        rows.setdefault(table, []).append(row)

    for one in organizations:
        chain = [one]
        while (parent := chain[-1].parent) in known and known[parent] not in chain:
            chain.append(known[parent])
        opt_in = next((above.kind.value for above in chain if above.kind in OPT_IN_KINDS), None)
        put(
            "org",
            id=one.id,
            country=one.country,
            active=int(one.active),
            receives=int(one.sealing_key is not None),
            vetted=int(one.vetting is Vetting.vetted),
            opt_in=opt_in,
        )
        for above in {above.id for above in chain} | {above.parent for above in chain if above.parent}:
            put("above", org=one.id, above=above)
        for service in one.services:
            key = {"org": one.id, "svc": service.id}
            capacity = service.capacity
            put(
                "service",
                **key,
                cost=_COST[service.cost],
                status=capacity.status.value,
                places=capacity.maximum,
                updated=capacity.updated_at.timestamp(),
                always=int(service.always_open),
            )
            codes = {*service.needs, *(f"any {need_group(need)}" for need in service.needs)}
            for area in set(service.areas):
                put("service_area", **key, area=area)
                for code in codes:
                    put("service_need", **key, code=code, area=area)
            for lang in {*service.languages, *service.interpretation}:
                put("spoken", **key, lang=lang, own=int(lang in service.languages))
            for code in {*service.settlements}:
                put("settlement", **key, code=code.value)
            for name, kind in _ELIGIBILITY.items():
                for bound in set(getattr(service.eligibility, name)):
                    put("bound", **key, kind=kind, code=str(bound))
        for approval in one.approved_services:
            for code in set(approval.needs):
                put("approval", org=one.id, svc=approval.service, code=code)
    for agreement in agreements:
        until = agreement.effective_until
        put(
            "agreement",
            id=agreement.id,
            **{"class": agreement.disclosure.value},
            since=agreement.effective_from.isoformat(),
            until=until and until.isoformat(),
        )
        for party in set(agreement.parties):
            put("party", org=party, id=agreement.id)
        for code in set(agreement.needs):
            put("covers", id=agreement.id, code=code)
    for table, values in rows.items():
        names = list(values[0])
        columns, places = ", ".join(names), ", ".join(f":{name}" for name in names)
        connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), values)  # noqa: S608
    connection.exec_driver_sql("CREATE INDEX party_of ON party (id, org)")


def tune(connection: Connection) -> None:
    """Gather statistics, and let the database answer from memory and, where it can, from indexes alone."""
    if connection.dialect.name == "sqlite":
        # In KiB: more than the tables of 50,000 services take.
        connection.exec_driver_sql("PRAGMA cache_size = -1048576")
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
        return
    # VACUUM does not run in a transaction. Without it, PostgreSQL looks up each row that an index names.
    with connection.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as alone:
        alone.exec_driver_sql("VACUUM ANALYZE")


def parameters(sender: str, facts: ReferralFacts, now: dt.datetime, *, sender_vetted: bool) -> dict[str, Any]:
    """Return the statement's parameters for a referral with one need."""
    (need,) = facts.needs
    group = need_group(need)
    consent = facts.consent
    return {
        "need": need,
        "grp": group,
        "sensitive": int(need in sensitive_needs()),
        "codes": [f"any {group}"] if need == group else [need, group],
        "places": [facts.region, country_of(facts.region)],
        "region": facts.region,
        "sender": sender,
        "sender_vetted": int(sender_vetted),
        "language": facts.languages[0],
        "languages": list(facts.languages),
        "kinds": [kind.value for kind in consent.opt_in_kinds],
        "excluded": list(consent.excluded_organizations),
        "anywhere": int(not consent.storage_countries),
        "storage": list(consent.storage_countries),
        "emergency": int(facts.urgency.value == "emergency"),
        "pays": int(facts.accepts_cost),
        "settlement": facts.settlement.value,
        "class": disclosure_class(facts.needs, facts.special_categories).value,
        "today": now.date().isoformat(),
        "now": now.timestamp(),
        "sex": [str(facts.sex)],
        "age": [str(facts.age_band)],
        "stage": [str(facts.stage)],
        "origin": [facts.origin_country],
        "special": [str(category) for category in facts.special_categories],
    }
