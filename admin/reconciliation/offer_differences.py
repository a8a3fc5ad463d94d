"""Differences between a referral's offers in routing and the log.

`offer.opened` has the organisation, rank, time and deadline of each offer. The deadline moves only when a
coordinator extends it (`intervention.applied`), and the facts that close an offer state its final state. The
log has no service: the decision that opened the offer has it, and the log has that decision's commitment.

Offers whose facts are erased from the log are compared by organisation and number alone.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from admin.reconciliation.referral_records import LoggedFact, StoredOffer
from contracts.codes import CoordinatorAct

_OPENED: Final = "offer.opened"
_EXTENDED: Final = "intervention.applied"
# The state after each closing fact. A later state is further down, and only an answer in time leaves
# `expired`, so the last one counts, in whatever order the log has them.
_CLOSINGS: Final[Mapping[str, str]] = {
    "offer.expired": "expired",
    "offer.declined": "declined",
    "offer.accepted": "accepted",
    "offer.revoked": "revoked",
    "acceptance.revoked": "revoked",
    "referral.handed_back": "returned",
}
_ORDER: Final = ("open", *dict.fromkeys(_CLOSINGS.values()))

# The services that the decisions ranked: by the time of the decision and the organisation.
RankedServices = Mapping[tuple[dt.datetime, str], Collection[str]]


@dataclass(kw_only=True, slots=True)
class _LoggedOffer:
    """An offer as the log has it. closed: time and index of the entry that first closed it."""

    index: int
    organization: str
    rank: int
    opened_at: dt.datetime
    deadline: dt.datetime
    state: str = "open"
    closed: tuple[dt.datetime, int] | None = None


def offer_differences(
    offers: Sequence[StoredOffer], entries: Sequence[LoggedFact], ranked: RankedServices
) -> Iterator[tuple[str, int | None]]:
    """Yield what differs, each with the index of the entry that opened the offer, if the log has it.

    ranked: of the decisions whose records are not erased.
    """
    logged, is_whole = _logged_offers(entries)
    for offer in offers:
        known = logged.get(offer.id)
        if known is None:
            if is_whole:
                yield f"the log does not have the offer {offer.id}", None
            continue
        for name in ("organization", "rank", "state", "opened_at", "deadline"):
            stored, expected = getattr(offer, name), getattr(known, name)
            if stored != expected:
                yield (
                    f"the offer {offer.id} has {name} {_text(stored)}, in the log {_text(expected)}",
                    known.index,
                )
        services = ranked.get((known.opened_at, known.organization))
        if services is not None and offer.service not in services:
            asked = ", ".join(sorted(services))
            yield (
                f"the offer {offer.id} is for the service {offer.service}, but its decision asked {asked}",
                known.index,
            )
    stored_ids = {offer.id for offer in offers}
    for id_, known in logged.items():
        if id_ not in stored_ids:
            yield f"routing does not have the offer {id_} of the log", known.index


def _logged_offers(entries: Sequence[LoggedFact]) -> tuple[dict[str, _LoggedOffer], bool]:
    """Return the offers by their ids, and whether the log still has the content of each."""
    found: dict[str, _LoggedOffer] = {}
    is_whole = True
    extensions: dict[str, list[tuple[dt.datetime, int, dt.datetime]]] = defaultdict(list)
    closings: list[tuple[LoggedFact, str]] = []
    for entry in entries:
        if entry.data is None:
            is_whole = is_whole and entry.fact != _OPENED
        elif entry.fact == _OPENED:
            found[entry.data["offer_id"]] = _opened(entry, entry.data)
        elif entry.fact == _EXTENDED and entry.data["act"] == CoordinatorAct.extend:
            extended = entry.time, entry.index, _moment(entry.data["deadline"])
            extensions[entry.data["organization"]].append(extended)
        elif entry.fact in _CLOSINGS:
            closings.append((entry, entry.data["offer_id"]))
    for entry, id_ in closings:
        if (offer := found.get(id_)) is not None:
            state, at = _CLOSINGS[entry.fact], (entry.time, entry.index)
            offer.state = max(offer.state, state, key=_ORDER.index)
            offer.closed = at if offer.closed is None else min(offer.closed, at)
    for offer in found.values():
        for time, index, deadline in sorted(extensions[offer.organization]):
            # After the acceptance an extension moves the deadline of the report.
            if time >= offer.opened_at and (offer.closed is None or (time, index) < offer.closed):
                offer.deadline = deadline
    return found, is_whole


def _opened(entry: LoggedFact, data: Mapping[str, Any]) -> _LoggedOffer:
    return _LoggedOffer(
        index=entry.index,
        organization=data["organization"],
        rank=data["rank"],
        opened_at=_moment(data["opened_at"]),
        deadline=_moment(data["deadline"]),
    )


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)
