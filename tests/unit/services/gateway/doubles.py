"""The gateway's ports in memory: a hub with mailboxes, and a broker with queues and users."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.errors import Defect, Refused, Unavailable
from services.gateway.domain.broker_load import BrokerSample
from services.gateway.domain.window import CAPACITY, Count
from services.gateway.ports import (
    MailboxMessage,
    MessagePage,
    NotAdmitted,
    QueueState,
    Result,
    SessionEnded,
    SubmissionAnswer,
    UserConflict,
)

OSH = "kg.osh-legal-aid"


def message(number: int, *, is_closed: bool = False) -> MailboxMessage:
    kind = "kopuro.message.closed.v1" if is_closed else "kopuro.offer.opened.v1"
    return MailboxMessage(
        id=f"m{number}", type=kind, body=f'{{"id":"m{number}"}}'.encode(), is_closed=is_closed
    )


@dataclass
class HubInMemory:
    """See `ports.Hub`. One organisation's mailbox; an idempotent intake."""

    mailbox: list[MailboxMessage] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    admitted: bool = True
    available: bool = True
    intake_available: bool = True
    poison: str = "poison"
    taken: dict[str, str] = field(default_factory=dict)
    answers: list[SubmissionAnswer] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    directory_available: bool = True
    new_passwords: list[str] = field(default_factory=list)
    applied_passwords: list[str] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)  # submissions until the rate is used up

    def require_admitted(self, organization: str) -> None:
        if not self.available:
            raise Unavailable("down")
        if not self.admitted:
            raise NotAdmitted

    def new_password(self, organization: str) -> str | None:
        self.require_admitted(organization)
        if not self.directory_available:
            raise Unavailable("down")
        return self.new_passwords.pop() if self.new_passwords else None

    def password_applied(self, organization: str, password_hash: str) -> None:
        self.require_admitted(organization)
        self.applied_passwords.append(password_hash)

    def page(self, organization: str, *, after: str | None, limit: int, wait: float) -> MessagePage:
        self.require_admitted(organization)
        self.waits.append(wait)
        start = 0 if after is None else int(after)
        found = [
            (place + 1, one)
            for place, one in enumerate(self.mailbox)
            if place >= start and one.id not in self.acknowledged
        ][:limit]
        cursor = str(found[-1][0]) if found else after
        return MessagePage(messages=tuple(one for _, one in found), cursor=cursor)

    def closed(self, organization: str, *, among: Sequence[str]) -> frozenset[str]:
        self.require_admitted(organization)
        waiting = [one for one in self.mailbox if one.id not in self.acknowledged]
        return frozenset(one.id for one in waiting if one.is_closed and one.id in among)

    def acknowledge(self, organization: str, message_ids: Sequence[str]) -> None:
        self.require_admitted(organization)
        self.acknowledged |= set(message_ids)

    def submit(self, organization: str, lines: Sequence[bytes], *, referrals: bool) -> list[Result]:
        self.require_admitted(organization)
        documents = [json.loads(line) for line in lines]
        if any(document.get("submit") == self.poison for document in documents):
            raise Defect("fails")
        return [self._submitted(organization, document, referrals=referrals) for document in documents]

    def answer(self, organization: str, answers: Sequence[SubmissionAnswer]) -> None:
        self.require_admitted(organization)
        self.answers += [one for one in answers if one not in self.answers]

    def _submitted(self, organization: str, document: dict[str, Any], *, referrals: bool) -> Result:
        if not self.intake_available or document.get("unavailable"):
            return Result(is_unavailable=True)
        if not referrals and "submit" not in document:
            return Result(problem=Refused("invalid-submission", "Correct /submit.").problem())
        key = document["idempotency_key"]
        if organization in self.left and key not in self.taken:
            if not self.left[organization]:
                return Result(is_unavailable=True, retry_after=30.0)
            self.left[organization] -= 1
        return Result(submission_id=self.taken.setdefault(key, f"s{len(self.taken)}"))

    def close_message(self, number: int) -> None:
        self.mailbox[number] = replace(message(number, is_closed=True))


@dataclass
class BrokerInMemory:
    """See `ports.Queues`, `BrokerUsers`, `PartnerConnections`. One organisation's queue, with a consumer."""

    users: dict[str, bool] = field(default_factory=lambda: {OSH: False})
    foreign: set[str] = field(default_factory=set)
    ready: list[MailboxMessage] = field(default_factory=list)
    held: list[MailboxMessage] = field(default_factory=list)
    consumers: int = 0
    session: int = 1
    marks: int = 0
    counted: Count | None = None
    capacity: int = CAPACITY
    available: bool = True
    log: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)
    takes_passwords: bool = True
    counted_connections: BrokerSample = field(default_factory=BrokerSample)
    banned: dict[str, str] = field(default_factory=dict)

    def begin(self, organization: str) -> int:
        self._require_available()
        self.log.append("emptied")
        self.ready.clear()
        return self.session

    def standing(self, session: int, organization: str) -> QueueState:
        self._require(session)
        return QueueState(waiting=len(self.ready), consumers=self.consumers)

    def look(self, session: int, organization: str) -> list[str]:
        self._require(session)
        self.log.append("looked at")
        return [one.id for one in self.ready]

    def copy(self, session: int, organization: str, messages: Sequence[MailboxMessage]) -> int:
        self._require(session)
        done = 0
        for one in messages:
            if len(self.ready) >= self.capacity:
                break
            self.ready.append(one)
            done += 1
        return done

    def all(self) -> list[str]:
        self._require_available()
        return sorted(self.users)

    def put(self, organization: str, password_hash: str) -> None:
        if organization in self.foreign:
            raise UserConflict(organization)
        self.users.setdefault(organization, False)

    def replace_password(self, organization: str, password_hash: str) -> None:
        if not self.takes_passwords:
            raise Unavailable("down")
        if organization in self.foreign:
            raise UserConflict(organization)
        self.passwords.append(password_hash)
        self.ready, self.held = [*self.held, *self.ready], []

    def remove(self, organization: str) -> None:
        self.users.pop(organization, None)

    def grant(self, organization: str) -> None:
        self._require_available()
        if organization not in self.users:
            raise UserConflict(organization)
        self.users[organization] = True
        self.log.append("granted")

    def withdraw(self, organization: str) -> None:
        self._require_available()
        self.users[organization] = False
        self.log.append("withdrawn")
        self.ready, self.held = [*self.held, *self.ready], []

    def count(self, organization: str) -> Count | None:
        self._require_available()
        return self.counted

    def sample(self) -> BrokerSample:
        self._require_available()
        return self.counted_connections

    def ban(self, organization: str, reason: str) -> None:
        self._require_available()
        self._require_ours(organization)
        self.banned[organization] = reason
        self.log.append("banned")
        self.ready, self.held = [*self.held, *self.ready], []

    def release(self, organization: str) -> None:
        self._require_available()
        self._require_ours(organization)
        self.banned.pop(organization, None)
        self.log.append("released")

    # The consumer, and what happens to the broker.

    def may_connect(self, organization: str) -> bool:
        return self.users.get(organization, False) and organization not in self.banned

    def deliver(self, number: int) -> list[str]:
        taken, self.ready = self.ready[:number], self.ready[number:]
        self.held += taken
        return [one.id for one in taken]

    def acknowledge(self, *ids: str) -> None:
        self.held = [one for one in self.held if one.id not in ids]

    def recount(self) -> None:
        self.marks += 1
        self.counted = Count(messages=len(self.ready) + len(self.held), mark=self.marks)

    def reconnect(self, *, lost: bool = False) -> None:
        self.session += 1
        self.ready = [] if lost else [*self.held, *self.ready]
        self.held = []

    def _require_available(self) -> None:
        if not self.available:
            raise Unavailable("down")

    def _require_ours(self, organization: str) -> None:
        if organization in self.foreign:
            raise UserConflict(organization)

    def _require(self, session: int) -> None:
        self._require_available()
        if session != self.session:
            raise SessionEnded
