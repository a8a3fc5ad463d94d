"""Routing decisions as tables: ranked candidates, excluded candidates with the rule, and scores."""

from __future__ import annotations

from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment, one_line, printable
from kopuro_client.records import Candidate, Contribution, Decision, Decisions, NobodyConsidered, Rule

# The hub's reason codes for a decision without candidates, as sentences.
_NOBODY = {
    "unknown_organization": "{organization} is not in the directory",
    "organization_without_services": "{organization} offers no service",
    "need_not_offered": "no organisation in the directory offers {need}",
    "need_not_offered_in_region": (
        "no organisation offers {need} in {region}; organisations offering it elsewhere: {elsewhere}"
    ),
}


def show_decisions(out: Output, decisions: Decisions) -> None:
    if not decisions["decisions"]:
        out.note("no decision has been made yet")
    for number, decision in enumerate(decisions["decisions"]):
        if number:
            out.blank()
        _show(out, decision)
    if (pause := decisions.get("paused")) is not None:
        out.blank()
        out.text(
            f"the case waits until {moment(pause['until'])}: "
            f"{one_line(pause['organization'])} replaced its sealing key without proof of the earlier one"
        )


def _show(out: Output, decision: Decision) -> None:
    out.heading("Decision at", moment(decision["decided_at"]))
    out.fields(
        [
            ("trigger", decision["trigger"]),
            ("policy", decision["policy_version"]),
            ("directory", decision["directory_version"]),
        ]
    )
    if not decision["candidates"]:
        out.blank()
        out.text(nobody_considered(decision.get("nobody")))
    eligible = sorted((c for c in decision["candidates"] if c["eligible"]), key=lambda c: c["rank"] or 0)
    excluded = [c for c in decision["candidates"] if not c["eligible"]]
    if eligible:
        out.blank()
        out.table(
            ("rank", "organisation", "service", "capacity", "score", "contributions"),
            (
                (
                    c["rank"],
                    c["organization"],
                    c["service"],
                    c.get("capacity"),
                    _number(c["score"]),
                    _score(c),
                )
                for c in eligible
            ),
        )
    if (why := _why_first(decision, eligible)) is not None:
        out.blank()
        out.text(why)
    overridden = [c for c in eligible if _failed(c)]
    if overridden:
        out.blank()
        out.table(
            ("organisation", "service", "rule overridden"),
            ((c["organization"], c["service"], _failed(c)) for c in overridden),
        )
    if excluded:
        out.blank()
        out.table(
            ("excluded", "service", "failed rules"),
            ((c["organization"], c["service"], _failed(c)) for c in excluded),
        )


def nobody_considered(nobody: NobodyConsidered | None) -> str:
    sentence = _NOBODY.get(nobody["reason"]) if nobody else None
    if nobody is None or sentence is None:
        return "no candidates"
    return "no candidates: " + sentence.format_map({k: one_line(v) for k, v in nobody.items()})


def _why_first(decision: Decision, eligible: list[Candidate]) -> str | None:
    """Return why the first-ranked organisation was asked before others; None if its score says it all."""
    turn = decision.get("turn")
    first = next((one for one in eligible if one["rank"] == 1), None)
    if turn is None or first is None:
        return None
    name = one_line(first["organization"])
    if turn["explored"] is not None:
        return f"{name} was asked to give it a chance"
    if turn["equals"] < 2:
        return None
    contender = turn["organizations"].get(first["organization"])
    asked = contender["last_asked"] if contender else None
    when = "never asked before" if asked is None else f"last asked {moment(asked)}"
    return f"{name} was asked because it was asked least recently among {turn['equals']} equals ({when})"


def _score(candidate: Candidate) -> str:
    return " + ".join(_part(part) for part in candidate["contributions"])


def _part(part: Contribution) -> str:
    weight = part.get("weight")
    return f"{part['name']} " + (f"{_number(weight)}×" if weight is not None else "") + _number(part["value"])


def _failed(candidate: Candidate) -> str:
    return "; ".join(_because(rule) for rule in candidate["rules"] if not rule["passed"])


def _because(rule: Rule) -> str:
    detail = f" ({printable(rule['detail'])})" if rule["detail"] else ""
    return f"{rule['rule']}: {rule['reason']}{detail}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
