"""The approval of a change by a second person: its states, and the decisions about it.

Two members of the staff stand behind each change. One who requests it counts; a partner that requests a key
for itself does not, so two members approve: the first endorses the request, the second grants it.

A request is granted only by another principal with a role that may approve it, and only while the record that
it changes is still as it was at the request. Everything else ends it without effect.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from contracts.codes import ApprovalKind, ApprovalRefusal
from contracts.errors import Refused
from contracts.roles import in_words

# Long enough for a weekend and a telephone call; short enough that the request is still remembered.
VALID_FOR: Final = dt.timedelta(days=7)


class Policy(StrEnum):
    """The number of persons who must decide (KOPURO_APPROVALS)."""

    one_person = "one-person"
    two_person = "two-person"


class State(StrEnum):
    """The state of an approval."""

    requested = "requested"
    granted = "granted"
    refused = "refused"
    expired = "expired"
    stale = "stale"


class ApprovalStep(StrEnum):
    """The events of an approval. overtake: the record, or the requester's request, has changed, or the client
    of the requester or the endorser was revoked, has another role or was issued again.

    endorse: the first of two members of the staff approves.
    """

    endorse = "endorse"
    grant = "grant"
    refuse = "refuse"
    expire = "expire"
    overtake = "overtake"


TRANSITIONS: Final[Mapping[State, Mapping[ApprovalStep, State]]] = {
    State.requested: {
        ApprovalStep.endorse: State.requested,
        ApprovalStep.grant: State.granted,
        ApprovalStep.refuse: State.refused,
        ApprovalStep.expire: State.expired,
        ApprovalStep.overtake: State.stale,
    },
    State.granted: {},
    State.refused: {},
    State.expired: {},
    State.stale: {},
}
# A request costs its readers attention. Nobody has to decide on more of them at a time.
MOST_OPEN_BY_REQUESTER: Final = 20
# For sealing keys, only the requests of the same requester count.
MOST_OPEN_ABOUT_SUBJECT: Final = 5
# The reason in `approval.refused` of each state that ends a request without effect.
REFUSALS: Final[Mapping[State, ApprovalRefusal]] = {
    State.refused: ApprovalRefusal.refused,
    State.expired: ApprovalRefusal.expired,
    State.stale: ApprovalRefusal.stale,
}
# The refusal of a decision on a stale request.
STALE: Final = (
    "The request is stale: the record has changed since, the requester has made another request, or the "
    "client of its requester or endorser was revoked, has another role or was issued again. Make a new "
    "request."
)
# The roles that may decide about each kind of change.
APPROVERS: Final[Mapping[ApprovalKind, frozenset[str]]] = {
    ApprovalKind.credential: frozenset({"operator"}),
    ApprovalKind.role: frozenset({"operator"}),
    ApprovalKind.sealing_key: frozenset({"operator"}),
    ApprovalKind.vetting: frozenset({"operator"}),
    ApprovalKind.agreement: frozenset({"operator"}),
    ApprovalKind.root_client: frozenset({"operator"}),
    ApprovalKind.service: frozenset({"operator", "coordinator"}),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A change that waits for a second person, or that has been decided.

    subject: the client, organisation or service concerned. concerned: the principal who would gain by it;
    organization: the partner whose mailbox has the notices, or None. change: what was requested, as JSON;
    digest: its SHA-256, hexadecimal. basis: the state of the record that the request was made on.
    endorsed_by: the first of two members of the staff, if the request needs two. client: with which a partner
    made the request; None for staff, and for requests of earlier builds.
    """

    id: str
    kind: ApprovalKind
    subject: str
    concerned: str
    organization: str | None
    change: Mapping[str, Any]
    digest: str
    basis: str
    requested_by: str
    requested_at: dt.datetime
    expires_at: dt.datetime
    state: State = State.requested
    decided_by: str | None = None
    decided_at: dt.datetime | None = None
    endorsed_by: str | None = None
    endorsed_at: dt.datetime | None = None
    client: str | None = None

    @property
    def is_partners(self) -> bool:
        """Whether a partner made the request itself."""
        return self.requested_by == self.organization

    def step(self, step: ApprovalStep, *, by: str, at: dt.datetime) -> Approval:
        """Return the approval after the step. Raises Refused `conflict` if its state does not permit it."""
        following = TRANSITIONS[self.state].get(step)
        if following is None:
            is_stale = self.state is State.stale
            raise Refused("conflict", STALE if is_stale else f"The request is already {self.state}.")
        if step is ApprovalStep.endorse:
            return replace(self, state=following, endorsed_by=by, endorsed_at=at)
        return replace(self, state=following, decided_by=by, decided_at=at)

    def shown_at(self, now: dt.datetime) -> State:
        """Return the state that a reader sees: a request expires by itself."""
        return State.expired if self.state is State.requested and now >= self.expires_at else self.state

    def needs_endorsement(self, policy: Policy) -> bool:
        """Return whether two members of the staff must approve, because a partner made the request itself."""
        return policy is Policy.two_person and self.is_partners


@dataclass(frozen=True, kw_only=True, slots=True)
class Decider:
    """The principal that decides about a request. client: the one with which it got its token."""

    id: str
    roles: frozenset[str]
    client: str = ""


def granted(
    approval: Approval,
    by: Decider,
    *,
    basis: str,
    at: dt.datetime,
    policy: Policy = Policy.two_person,
    revoked: Collection[str] = (),
) -> Approval:
    """Return the approval as granted or endorsed, or as expired or stale if it is too late.

    basis: the record's state now. revoked: those of the requester and the endorser whose clients have been
    revoked since: a request of one is stale, and an endorsement by one does not count. It has the client of a
    partner's request too, if that one was revoked. Raises Refused
    `forbidden` for a principal that may not approve it, and `conflict` if the request was decided before.
    """
    _check_approver(approval, by)
    if approval.shown_at(at) is State.expired:
        return approval.step(ApprovalStep.expire, by=by.id, at=at)
    if basis != approval.basis or not {approval.requested_by, approval.client}.isdisjoint(revoked):
        return approval.step(ApprovalStep.overtake, by=by.id, at=at)
    if approval.needs_endorsement(policy):
        if approval.endorsed_by is None or approval.endorsed_by in revoked:
            return approval.step(ApprovalStep.endorse, by=by.id, at=at)
        if approval.state is State.requested and approval.endorsed_by == by.id:
            raise Refused("forbidden", "Another member of the staff must approve the request too.")
    return approval.step(ApprovalStep.grant, by=by.id, at=at)


def refused(approval: Approval, by: Decider, *, at: dt.datetime, has_power: bool = True) -> Approval:
    """Return the approval as refused; its requester may withdraw it in this way.

    has_power: whether the requester's client may end what the client of the request has made. Raises Refused
    `forbidden` for another principal without the role, and for a client without that power; `conflict` if the
    request was decided before.
    """
    if by.id != approval.requested_by and not by.roles & APPROVERS[approval.kind]:
        who = in_words(APPROVERS[approval.kind])
        raise Refused("forbidden", f"Only its requester or {who} may refuse the request.")
    if not by.roles & APPROVERS[approval.kind] and not has_power:
        if approval.client is None:
            raise Refused(
                "forbidden",
                "Only an operator can refuse it: the request does not name the client that made it.",
            )
        raise Refused(
            "forbidden",
            "An earlier client of your organisation made the request. Withdraw it with that client, or call "
            "the hub's operators.",
        )
    expired = approval.shown_at(at) is State.expired
    return approval.step(ApprovalStep.expire if expired else ApprovalStep.refuse, by=by.id, at=at)


def _check_approver(approval: Approval, by: Decider) -> None:
    roles = APPROVERS[approval.kind]
    if not by.roles & roles:
        raise Refused("forbidden", f"Only {in_words(roles)} may approve this request.")
    if by.id == approval.requested_by:
        raise Refused("forbidden", "A second person must approve the request, not its requester.")
    if by.id == approval.concerned:
        raise Refused("forbidden", "The principal that a request is about cannot approve it.")
