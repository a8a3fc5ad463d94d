"""Comparison of the answers of `decide()` and of SQL: services, order, scores, turns and failed rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from benchmarks.matching_sql import failed_rules
from services.routing.domain.candidates import Candidate
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Decision
from services.routing.domain.places import OffersPerSender

Row = Mapping[str, Any]
# A reason and its evidence.
_Failed = tuple[str, Mapping[str, Any]]
# Differences of sums of doubles, after both sides rounded to six digits.
_TOLERANCE: Final = 1e-9


class OtherAnswer(AssertionError):
    """SQL and `decide()` gave different answers, so that their times cannot be compared."""


def compare_decided(database: str, decision: Decision, given: Circumstances, rows: Sequence[Row]) -> None:
    """Raise OtherAnswer unless the rows are the decision's candidates in the same order."""
    _require(len(rows) == len(decision.candidates), database, "the number of candidates", len(rows))
    for candidate, row in zip(decision.candidates, rows, strict=True):
        _compare_candidate(database, candidate, row, given)
    turn = decision.turn
    if turn is None:
        return
    explored = {row["organization"] for row in rows if row["explored"] == row["id"]}
    _require(explored == ({turn.explored} if turn.explored else set()), database, "who is explored", explored)
    contenders = {
        name: (contender.last_asked, contender.judged, contender.equal)
        for name, contender in turn.organizations.items()
    }
    answer = {
        row["organization"]: (
            _moment(row["last_asked"]),
            row["answered"] + row["expired"],
            bool(row["equal"]),
        )
        for row in rows
        if row["rank"] is not None
    }
    _require(answer == contenders, database, "the turn", answer)


def compare_elsewhere(database: str, decision: Decision, count: int) -> None:
    """Raise OtherAnswer unless as many organisations meet the need elsewhere."""
    found = decision.nobody.elsewhere if decision.nobody else 0
    _require(found == count, database, "organisations elsewhere", count)


def compare_eligible(database: str, decision: Decision, rows: Sequence[Row]) -> None:
    """Raise OtherAnswer unless the rows are the eligible services with their scores, in any order."""
    answer = {(row["organization"], row["service"]): row["score"] for row in rows}
    made = {(one.organization, one.service): one.score for one in decision.candidates if one.is_eligible}
    _require(answer.keys() == made.keys(), database, "the eligible services", answer.keys() ^ made.keys())
    for key, score in made.items():
        _require(_is_close(answer[key], score), database, f"the score of {key}", answer[key])


def _compare_candidate(database: str, candidate: Candidate, row: Row, given: Circumstances) -> None:
    where = f"{candidate.organization} {candidate.service}"
    same = (candidate.organization, candidate.service, candidate.capacity.value, candidate.revision)
    answer = (row["organization"], row["service"], row["status"], row["revision"])
    _require(answer == same, database, f"the place of {where}", answer)
    _require(row["rank"] == candidate.rank, database, f"the rank of {where}", row["rank"])
    failed = failures_of(row, given)
    made = {failure.rule: (failure.reason, dict(failure.detail)) for failure in candidate.failures}
    _require(failed == made, database, f"the failed rules of {where}", failed)
    _require(_is_close(row["score"], candidate.score), database, f"the score of {where}", row["score"])
    for name, value in candidate.contributions.items():
        found = row["cost_value" if name == "cost" else name]
        _require(_is_close(found, value), database, f"{name} of {where}", found)


def _is_close(found: float | None, value: float | None) -> bool:
    if found is None or value is None:
        return found is value
    return abs(found - value) < _TOLERANCE


def _require(is_equal: bool, database: str, what: str, found: object) -> None:
    if not is_equal:
        raise OtherAnswer(f"{database} differs from decide() in {what}: {found}")


def failures_of(row: Row, given: Circumstances) -> Mapping[str, _Failed]:
    """Return the failed rules of a row, each with the reason and evidence that its columns give."""
    return {rule: _EVIDENCE[rule](row, given) for rule in failed_rules(row["failed"])}


def _plainly(reason: str) -> Callable[[Row, Circumstances], _Failed]:
    return lambda row, given: (reason, {})


def _by_column(reason: str, name: str) -> Callable[[Row, Circumstances], _Failed]:
    return lambda row, given: (reason, {name: row["opt_in" if name == "kind" else name]})


def _no_agreement(row: Row, given: Circumstances) -> _Failed:
    needs = [need for slot, need in enumerate(given.agreements, 1) if not row[f"disclosed{slot}"]]
    return "no_agreement", {"class": given.disclosure, "needs": needs}


def _not_approved(row: Row, given: Circumstances) -> _Failed:
    needs = [need for slot, need in enumerate(given.agreements, 1) if not row[f"approved{slot}"]]
    return "service_not_approved", {"service": row["service"], "needs": needs}


def _not_eligible(row: Row, given: Circumstances) -> _Failed:
    met = {
        "sex": row["of_sex"],
        "age_band": row["of_age"],
        "stage": row["of_stage"],
        "origin_country": row["of_origin"],
        "special_categories": row["of_special"],
    }
    return "not_eligible", {"unmet": [name for name, is_met in met.items() if not is_met]}


def _unit(row: Row) -> Mapping[str, str]:
    return {} if row["unit"] is None else {"unit": row["unit"]}


def _declined_as_full(row: Row, given: Circumstances) -> _Failed:
    at = _moment(row["full_since"])
    assert at is not None
    detail = {"service": row["service"], "declined_at": at, "until": at + given.full_for}
    return "declined_no_capacity", detail


def _no_place(row: Row, given: Circumstances) -> _Failed:
    if row["accepted"] >= row["maximum"]:
        return "no_place", {"accepted": row["accepted"], "maximum": row["maximum"], **_unit(row)}
    places, bounds = row["maximum"] - row["accepted"], given.offers_per_sender
    return "share_used", {
        "offers": row["own"],
        "places": places,
        "share": _share(places, row["senders"], bounds),
        "senders": row["senders"],
        **_unit(row),
    }


def _share(places: int, senders: int, bounds: OffersPerSender) -> int:
    return max(bounds.least, places // senders)


def _asked_before(row: Row, given: Circumstances) -> _Failed:
    at = _moment(row["declined"])
    if at is None:
        return "already_asked", {}
    stated = _moment(row["stated"])
    if stated is not None and stated <= at:
        return "no_room_reported", {"declined_at": at}
    return "asked_lately", {"declined_at": at, "until": at + given.full_for}


def _moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)


_EVIDENCE: Final[Mapping[str, Callable[[Row, Circumstances], _Failed]]] = {
    "organization_active": _plainly("inactive"),
    "organization_vetted": _by_column("not_vetted", "vetting"),
    "not_the_sender": _plainly("is_the_sender"),
    "not_excluded": _plainly("excluded_by_the_person"),
    "kind_consented": _by_column("kind_not_opted_in", "kind"),
    "agreement_in_force": _no_agreement,
    "can_receive": _plainly("no_sealing_key"),
    "service_approved": _not_approved,
    "settlement_served": lambda row, given: (
        "settlement_not_served",
        {"settlement": given.facts.settlement},
    ),
    "person_eligible": _not_eligible,
    "language_shared": lambda row, given: ("no_common_language", {"spoken": row["spoken"].split()}),
    "cost_accepted": _by_column("not_free", "cost"),
    "capacity_left": lambda row, given: ("no_capacity", {"status": row["status"], **_unit(row)}),
    "capacity_not_declined": _declined_as_full,
    "place_left": _no_place,
    "open_now": _plainly("not_always_open"),
    "storage_allowed": _by_column("storage_not_allowed", "country"),
    "not_asked_before": _asked_before,
}
