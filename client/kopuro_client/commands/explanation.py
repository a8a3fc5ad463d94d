"""A decision as a person reads it.

Who was considered, who was kept out and by which rule, and what the score is made of.
"""

from __future__ import annotations

from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment, printable
from kopuro_client.records import Candidate, Contribution, Decision, Decisions, Rule


def show_decisions(out: Output, decisions: Decisions) -> None:
    if not decisions["decisions"]:
        out.note("no decision has been taken yet")
    for number, decision in enumerate(decisions["decisions"]):
        if number:
            out.blank()
        _show(out, decision)


def _show(out: Output, decision: Decision) -> None:
    out.heading("Decision of", moment(decision["decided_at"]))
    out.fields(
        [
            ("because of", decision["trigger"]),
            ("policy", decision["policy_version"]),
            ("directory", decision["directory_version"]),
        ]
    )
    eligible = sorted((c for c in decision["candidates"] if c["eligible"]), key=lambda c: c["rank"] or 0)
    kept_out = [c for c in decision["candidates"] if not c["eligible"]]
    if eligible:
        out.blank()
        out.table(
            ("rank", "organisation", "service", "score", "made of"),
            ((c["rank"], c["organization"], c["service"], _number(c["score"]), _score(c)) for c in eligible),
        )
    if kept_out:
        out.blank()
        out.table(
            ("kept out", "service", "by"),
            ((c["organization"], c["service"], _failed(c)) for c in kept_out),
        )


def _score(candidate: Candidate) -> str:
    return " + ".join(_part(part) for part in candidate["contributions"])


def _part(part: Contribution) -> str:
    weight = part.get("weight")
    return f"{part['name']} " + (f"{_number(weight)}×" if weight is not None else "") + _number(part["value"])


def _failed(candidate: Candidate) -> str:
    return "; ".join(_because(rule) for rule in candidate["rules"] if not rule["passed"])


def _because(rule: Rule) -> str:
    detail = f" ({printable(rule['detail'])})" if rule["detail"] else ""
    overridden = ", overridden" if rule.get("overridden") else ""
    return f"{rule['rule']}: {rule['reason']}{detail}{overridden}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
