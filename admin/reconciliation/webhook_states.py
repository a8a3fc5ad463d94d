"""The endpoints of webhooks beside the log: whose they are, where they are, and what signs their requests.

The log has the host of an endpoint, a commitment to its URL and types, and the digests of its sealed secrets.
Facts of earlier builds have the host alone.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Engine, select

from admin.reconciliation.differences import Difference
from admin.reconciliation.events_in_transit import ids_in_transit
from admin.reconciliation.opened_entries import OpenedEntries
from admin.reconciliation.row_differences import ComparedRow, row_difference, row_differences
from admin.reconciliation.service_tables import WEBHOOK_SECRETS, WEBHOOKS
from admin.reconciliation.stored_values import DAMAGED, json_value
from contracts.canonical import NotCanonical
from contracts.facts import WebhookChanged, WebhookFailing
from services.delivery.webhooks.domain.endpoint import DISABLED, EndpointState, commitment
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl, InvalidUrlError
from services.delivery.webhooks.owners import OVERLAP
from services.delivery.webhooks.webhook_facts import secret_digest

_FACTS: Final = (WebhookChanged.type, WebhookFailing.type)
_WEBHOOK: Final = "webhook"
_DELIVERED: Final = "delivery"
_CONTENT: Final = "URL or types"
_SECRETS: Final = "secrets"
# The state of an endpoint that its owner deleted: no row has it.
_DELETED: Final = "deleted"
# The states after changes of which facts of earlier builds tell. After `changed` it may be any state.
_STATES: Final[Mapping[str, str | None]] = {
    "registered": EndpointState.unverified.value,
    "enabled": EndpointState.unverified.value,
    "verified": EndpointState.active.value,
    "disabled": EndpointState.disabled.value,
    "gone": EndpointState.disabled.value,
    "changed": None,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredSecret:
    """A secret. digest: None in the log for a secret that only a fact of an earlier build tells of."""

    digest: str | None
    created_at: dt.datetime
    expires_at: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedWebhook:
    """The state of an endpoint by the log. time: of the latest event; index: of the latest entry.

    state, content: None if the log does not say it. created_at: None without a registration. secrets: newest
    first.
    """

    time: dt.datetime
    index: int
    organization: str
    host: str
    state: str | None = None
    content: str | None = None
    created_at: dt.datetime | None = None
    secrets: tuple[StoredSecret, ...] = field(default=())

    def values(self) -> dict[str, Any]:
        """Return what is compared with the row."""
        if self.state == _DELETED:
            return {"state": _DELETED}
        said = {
            "organization": self.organization,
            "host": self.host,
            "state": self.state,
            _CONTENT: self.content,
            "created_at": self.created_at,
            _SECRETS: self.secrets if self.secrets and self.secrets[0].digest is not None else None,
        }
        return {name: value for name, value in said.items() if value is not None}


class WebhookStates:
    """The endpoints of delivery, and those of the log."""

    def __init__(self, delivery: Engine, entries: OpenedEntries) -> None:
        self._engine = delivery
        self._entries = entries

    def differences(self, settled: dt.datetime, limit: int) -> Iterator[Difference]:
        """Yield the differences. settled: ignore later changes. limit: entries per query."""
        # Delivery is read before the log. A change that the log lacks then is in transit.
        stored = self._stored()
        names = dict.fromkeys(_FACTS, "endpoint_id")
        moving = set().union(*ids_in_transit(self._engine, names, settled, limit).values())
        logged: dict[str, LoggedWebhook] = {}
        for leaf, data in self._entries.said(_FACTS, limit):
            id, before = data["endpoint_id"], logged.get(data["endpoint_id"])
            change = data.get("change")
            if before is None and change != "registered":
                how = "has an entry, but the log has no registration of it"
                yield row_difference(_WEBHOOK, id, how, leaf["index"], where=_DELIVERED)
            for how in [] if before is None else _breaks(before, data):
                yield row_difference(_WEBHOOK, id, how, leaf["index"], where=_DELIVERED)
            logged[id] = after(before, leaf, data)
        compared = {id: _compared(said, stored.get(id)) for id, said in logged.items()}
        deleted = {id for id, said in logged.items() if said.state == _DELETED}
        yield from row_differences(
            _WEBHOOK, stored, compared, settled, may_lack=deleted, moving=moving, where=_DELIVERED
        )

    def _stored(self) -> dict[str, ComparedRow]:
        secrets: dict[str, list[StoredSecret]] = defaultdict(list)
        with self._engine.connect() as connection:
            # The endpoints first: a registration adds both. A change between the two is in transit.
            endpoints = connection.execute(select(WEBHOOKS)).all()
            newest_first = select(WEBHOOK_SECRETS).order_by(WEBHOOK_SECRETS.c.number.desc())
            for row in connection.execute(newest_first):
                secret = StoredSecret(
                    digest=secret_digest(row.sealed or b""),
                    created_at=row.created_at,
                    expires_at=row.expires_at,
                )
                secrets[row.endpoint_id].append(secret)
        return {
            row.id: ComparedRow(
                time=row.created_at,
                values={
                    "organization": row.organization,
                    "host": _host(row.url),
                    "state": row.state,
                    _CONTENT: _committed(row),
                    "created_at": row.created_at,
                    _SECRETS: tuple(secrets[row.id]),
                },
            )
            for row in endpoints
        }


def after(before: LoggedWebhook | None, leaf: Mapping[str, Any], data: Mapping[str, Any]) -> LoggedWebhook:
    """Return what the log says of an endpoint after an entry. before: None for its first entry."""
    time = dt.datetime.fromisoformat(leaf["time"])
    here = {"host": data["host"], "index": leaf["index"]}
    if before is None:
        said = LoggedWebhook(time=time, organization=data["organization"], **here)
    else:
        # No endpoint changes its owner.
        said = replace(before, time=max(before.time, time), **here)
    if said.state == _DELETED:
        return said
    change = data.get("change")
    if change is None:
        # A `webhook.failing`.
        return replace(said, state=EndpointState.disabled.value) if data["percent"] == DISABLED else said
    if change == "deleted":
        return replace(said, state=_DELETED)
    # The URL and the types after a change of an earlier build are not known.
    content = None if change == "changed" else said.content
    said = replace(
        said,
        state=data.get("state") or _STATES.get(change, said.state),
        content=data.get("commitment") or content,
    )
    secret = StoredSecret(digest=data.get("secret"), created_at=time)
    if change == "registered":
        return replace(said, created_at=time, secrets=(secret,))
    if change == "secret_rotated":
        former = (replace(one, expires_at=time + OVERLAP) for one in said.secrets[:1])
        return replace(said, secrets=(secret, *former))
    return said


def _breaks(before: LoggedWebhook, data: Mapping[str, Any]) -> Iterator[str]:
    """Yield, in words, how the endpoint differed from the earlier entries when this entry was made."""
    if before.state == _DELETED:
        yield "has an entry after its deletion"
        return
    if data["organization"] != before.organization:
        yield "had another owner than the log when this entry was made"
    found = data.get("previous") or data.get("commitment")
    is_other = before.content is not None and found is not None and found != before.content
    # Nothing else changes the host, which facts of earlier builds have too.
    if is_other or (data["host"] != before.host and data.get("change") != "changed"):
        yield "had other URLs or types than the log when this entry was made"


def _compared(said: LoggedWebhook, row: ComparedRow | None) -> ComparedRow:
    """Return what the log says, without the digests of secrets that it does not have."""
    values = said.values()
    if row is not None and _SECRETS in values:
        stored = dict(enumerate(row.values[_SECRETS]))
        values[_SECRETS] = tuple(
            replace(one, digest=stored[at].digest) if one.digest is None and at in stored else one
            for at, one in enumerate(values[_SECRETS])
        )
    return ComparedRow(time=said.time, values=values, index=said.index)


def _host(url: str) -> str:
    try:
        return EndpointUrl.of(url, is_local=True).host
    except (InvalidUrlError, TypeError):
        return DAMAGED


def _committed(row: Any) -> str | None:
    """Return the commitment that the row opens; None without a salt, DAMAGED if it opens none."""
    if row.salt is None:
        return None
    types = json_value(row.types)
    if not isinstance(types, list):
        return DAMAGED
    try:
        return commitment(row.id, row.url, types, row.salt)
    except (ValueError, TypeError, NotCanonical):
        return DAMAGED
