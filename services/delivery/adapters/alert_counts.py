"""The numbers of the coordinators' alerts in the current hour."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from sqlalchemy import Connection

from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement
from services.delivery.domain.alert_counts import KEPT, AlertKind

_FORGET = SqlStatement("DELETE FROM alert_counts WHERE since < ?")
_ADD = SqlStatement(
    "INSERT INTO alert_counts (since, organization, type, urgency, messages) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (since, organization, type, urgency)"
    " DO UPDATE SET messages = alert_counts.messages + excluded.messages RETURNING messages"
)


class SqlAlertCounts:
    """See `ports.AlertCounts`."""

    def add(
        self, transaction: Connection, since: dt.datetime, alerts: Mapping[AlertKind, int]
    ) -> dict[AlertKind, int]:
        """See `ports.AlertCounts`."""
        _FORGET.run(transaction, microseconds(since - KEPT))
        return {
            kind: _ADD.run(
                transaction, microseconds(since), kind.organization, kind.type, kind.urgency, number
            ).scalar_one()
            - number
            for kind, number in sorted(alerts.items())
        }
