"""The directory's applications beside the log: their states, who decided, and the commitments to them.

The log has a commitment to what the applicant sent, and each step. The directory deletes an application some
time after its end, so only a missing open one is a difference.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Engine, select

from admin.reconciliation.differences import Difference
from admin.reconciliation.events_in_transit import ids_in_transit
from admin.reconciliation.opened_entries import OpenedEntries
from admin.reconciliation.row_differences import ComparedRow, row_differences
from admin.reconciliation.service_tables import APPLICATIONS
from admin.reconciliation.stored_values import DAMAGED, json_value
from contracts.application import Application
from contracts.codes import ApplicationState, ApplicationStep
from contracts.facts import ApplicationDecided, ApplicationSubmitted
from contracts.records import Malformed, plain, read
from services.directory.domain.application import OPEN, TRANSITIONS, commitment

# The steps that erase what was sent.
_ERASING: Final = frozenset({ApplicationStep.vetted, ApplicationStep.withdrawn, ApplicationStep.expired})
_NO_STATE: Final = "none"
_NAMES: Final = dict.fromkeys((ApplicationSubmitted.type, ApplicationDecided.type), "application_id")


class ApplicationStates:
    """The applications of the directory, and those of the log."""

    def __init__(self, directory: Engine, entries: OpenedEntries) -> None:
        self._engine = directory
        self._entries = entries

    def differences(self, settled: dt.datetime, limit: int) -> Iterator[Difference]:
        """Yield the differences. settled: ignore later changes. limit: entries per query."""
        # The directory is read before the log. A change that the log lacks then is in transit.
        stored = self._stored()
        moving = set().union(*ids_in_transit(self._engine, _NAMES, settled, limit).values())
        logged = self._logged(limit)
        ended = {id for id, one in logged.items() if one.values["state"] not in OPEN}
        yield from row_differences("application", stored, logged, settled, may_lack=ended, moving=moving)

    def _stored(self) -> dict[str, ComparedRow]:
        with self._engine.connect() as connection:
            return {
                row.id: ComparedRow(
                    time=row.submitted_at,
                    values={
                        "state": row.state,
                        "content": _committed(row),
                        "submitted_at": row.submitted_at,
                        "expires_at": row.expires_at,
                        "approval_id": row.approval_id,
                        "organization": row.organization,
                        "decided_by": row.decided_by,
                        "decided_at": row.decided_at,
                        "reason": row.reason,
                    },
                )
                for row in connection.execute(select(APPLICATIONS))
            }

    def _logged(self, limit: int) -> dict[str, ComparedRow]:
        found: dict[str, ComparedRow] = {}
        for leaf, data in self._entries.said([ApplicationSubmitted.type, ApplicationDecided.type], limit):
            time, id = dt.datetime.fromisoformat(leaf["time"]), data["application_id"]
            if leaf["type"] == ApplicationSubmitted.type:
                values = {
                    "state": ApplicationState.waiting.value,
                    "content": data["content"],
                    "submitted_at": time,
                    "expires_at": dt.datetime.fromisoformat(data["expires_at"]),
                    "approval_id": None,
                    "organization": None,
                    "decided_by": None,
                    "decided_at": None,
                    "reason": None,
                }
                found[id] = ComparedRow(time=time, values=values, index=leaf["index"])
            elif id in found:
                values = _after(found[id].values, data, time)
                found[id] = replace(found[id], time=time, values=values, index=leaf["index"])
        return found


def _after(before: Mapping[str, Any], data: Mapping[str, Any], time: dt.datetime) -> dict[str, Any]:
    """Return what the log says of an application after a step.

    A step that its state does not permit has no state that the directory could have.
    """
    step = ApplicationStep(data["step"])
    state = None if before["state"] == _NO_STATE else ApplicationState(before["state"])
    following = None if state is None else TRANSITIONS[state].get(step)
    values = {
        **before,
        "state": _NO_STATE if following is None else following.value,
        "approval_id": data.get("approval_id"),
        "organization": data.get("organization") or before["organization"],
        "decided_by": data.get("by"),
        "decided_at": time,
        "reason": data.get("reason"),
    }
    if step in _ERASING:
        values["content"] = None
    if following not in OPEN:
        # The network sets how long the traces of an ended application are kept; no fact says it.
        values.pop("expires_at", None)
    return values


def _committed(row: Any) -> str | None:
    """Return the commitment to the stored content; None if it is erased, DAMAGED if it cannot be read."""
    if row.content is None and row.salt is None:
        return None
    stored = json_value(row.content)
    try:
        sent = read(Application, stored)
        whole = plain(sent)
        # Reading leaves out what an application does not have.
        if any(name not in whole or whole[name] != value for name, value in stored.items()):
            return DAMAGED
        return commitment(row.id, sent, row.salt)
    except (Malformed, ValueError, TypeError, AttributeError):
        return DAMAGED
