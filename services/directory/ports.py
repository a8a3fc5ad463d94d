"""The directory's storage ports. Every method takes the transaction that it belongs to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.codes import ApplicationState, ApprovalKind
from contracts.employer import Employer
from contracts.organization import Organization, Service
from contracts.responses.directory import Suspension
from services.directory.domain.application import KeptApplication
from services.directory.domain.approval import Approval, State
from services.directory.domain.client import Client
from services.directory.domain.client_key import ClientKey
from services.directory.domain.credential_expiry import Expiry
from services.directory.domain.entry import DirectoryEntry, E, Revision, Standing, Subject
from services.directory.domain.lookalikes import KnownIds
from services.directory.domain.sealing_key_history import Challenge, KeptKey
from services.directory.domain.watch_report import EmployerReply, WatchReport


class Register(Protocol):
    """The current entries and all their revisions."""

    def hold(self, transaction: Connection) -> None:
        """Lock all entries against other writers until the transaction ends.

        Call it before `standing` if `store` follows, so that revisions have no gaps across processes.
        Readers are not blocked.
        """
        ...

    def standing(self, transaction: Connection, kind: type[E], ids: Sequence[str]) -> dict[str, Standing[E]]:
        """Return the existing entries of those ids."""
        ...

    def store(self, transaction: Connection, revisions: Sequence[Revision[Any]]) -> None:
        """Write the revisions and make their entries current. All must be of one kind."""
        ...

    def page(
        self, transaction: Connection, kind: type[E], where: Mapping[str, str], after: str, limit: int
    ) -> list[Standing[E]]:
        """Return at most `limit` entries with ids above `after`, ordered by id.

        where: for organisations, the required `kind` and `country`.
        """
        ...

    def suspension(self, transaction: Connection, organization: str) -> Suspension | None:
        """Return who suspended an organisation last, when and why; None if it is not suspended.

        The revision with the latest reason counts, else the one that suspended it.
        """
        ...

    def clients_of(self, transaction: Connection, principals: Sequence[str]) -> list[Client]:
        """Return the clients of these principals, live and revoked, ordered by id."""
        ...

    def registered(self, transaction: Connection, clients: Sequence[str]) -> Mapping[str, int]:
        """Return by id the place of each client in the order of registration; unknown ones are left out.

        Those that one transaction registered have the same place. A new issue does not change it.
        """
        ...

    def known_ids(self, transaction: Connection) -> KnownIds:
        """Return the ids of all organisations, and of all clients, revoked ones too."""
        ...

    def every(self, transaction: Connection, subject: Subject) -> Iterator[Standing[DirectoryEntry]]:
        """Yield every entry of that kind, ordered by id."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """A service and the organisation that offers it."""

    organization: str
    service: Service


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedAt:
    """A service in one of the areas it serves."""

    organization: str
    service: Service
    area: str


class ServiceIndex(Protocol):
    """An index of the services of active, vetted organisations, by need and area."""

    def replace(self, transaction: Connection, organizations: Sequence[Organization]) -> None:
        """Replace the index entries of these organisations."""
        ...

    def find(
        self,
        transaction: Connection,
        needs: frozenset[str] | None,
        areas: frozenset[str] | None,
        after: tuple[str, str],
        limit: int,
    ) -> list[Offered]:
        """Return services with one of the needs and areas (None: any), after (organisation, service)."""
        ...

    def areas(self, transaction: Connection, after: tuple[str, str, str], limit: int) -> list[OfferedAt]:
        """Return each service once for each of its areas, after (organisation, service, area)."""
        ...


class ApprovalStore(Protocol):
    """Requests for approval, open and decided. None is ever deleted."""

    def add(self, transaction: Connection, approval: Approval) -> None:
        """Store a new request."""
        ...

    def settle(self, transaction: Connection, approval: Approval) -> None:
        """Store the approval's state, its endorsement and its decision."""
        ...

    def erase(self, transaction: Connection, approval_id: str) -> None:
        """Replace what was requested by an empty object. Everything else stays, the digest too."""
        ...

    def one(
        self, transaction: Connection, approval_id: str, *, organization: str | None = None
    ) -> Approval | None:
        """Return an approval; None if there is none of that id. organization: as for `page`."""
        ...

    def open(self, transaction: Connection, kind: ApprovalKind, subject: str) -> list[Approval]:
        """Return the undecided requests about the subject, expired ones included, ordered by id."""
        ...

    def open_by(self, transaction: Connection, requester: str) -> list[Approval]:
        """Return the requester's undecided requests, expired ones included, ordered by id."""
        ...

    def endorsed_by(self, transaction: Connection, endorser: str) -> list[Approval]:
        """Return the undecided requests that a member of the staff has endorsed, ordered by id."""
        ...

    def page(
        self,
        transaction: Connection,
        *,
        organization: str | None,
        state: State | None,
        now: dt.datetime,
        after: str,
        limit: int,
    ) -> list[Approval]:
        """Return at most `limit` approvals with ids above `after`, ordered by id, which is their age.

        organization: the partner that reads: it gets those about itself. Requests that are older than its
        record may be about others, who were to have its id. Of those it gets the granted ones, and of the
        requests to vet an application only the granted one. state: None for any, as organization. now: an
        undecided request that expired before counts as expired.
        """
        ...


class SealingKeyStore(Protocol):
    """Every sealing key of every organisation, and the open challenges."""

    def keep(self, transaction: Connection, number: int, key: KeptKey) -> None:
        """Add the organisation's present key and end the one before it. number: of the record's revision."""
        ...

    def history(self, transaction: Connection, organization: str) -> list[KeptKey]:
        """Return the organisation's keys, the present one first, each from when it came to when the next did.

        `keep` stores the time from which the pause of a key counts, which may be that of an earlier approval.
        """
        ...

    def challenge(self, transaction: Connection, challenge: Challenge) -> None:
        """Store a challenge in place of the organisation's earlier one for the same new key."""
        ...

    def open_challenges(
        self, transaction: Connection, organization: str, *, other_than: str, now: dt.datetime
    ) -> int:
        """Return how many challenges for other new keys are valid. Deletes those that are not."""
        ...

    def open_challenge(
        self, transaction: Connection, organization: str, challenge_id: str
    ) -> Challenge | None:
        """Return the organisation's open challenge of that id, which may have expired, or None."""
        ...

    def close_challenges(self, transaction: Connection, organization: str) -> None:
        """Delete the organisation's challenges: the key that they prove was replaced."""
        ...


class AssertionReader(Protocol):
    """Reads client assertions."""

    def client_id(self, assertion: str) -> str | None:
        """Return the client that an assertion names, unverified; None for no assertion."""
        ...

    def claims(self, assertion: str, keys: Sequence[ClientKey]) -> Mapping[str, Any] | None:
        """Return the claims that one of the keys signed; None if none did."""
        ...


class ProofKeyStore(Protocol):
    """The public keys that secrets yield, and the ids of proofs and assertions that were used lately."""

    def keys(self, transaction: Connection, client_id: str, secrets: Sequence[str]) -> list[str]:
        """Return the registered keys of these secrets, in base64url. secrets: their digests."""
        ...

    def register(
        self, transaction: Connection, client_id: str, secret_sha256: str, key: str, *, live: Sequence[str]
    ) -> None:
        """Store the key of a secret. live: the digests of the client's secrets; other keys are deleted."""
        ...

    def use(
        self, transaction: Connection, client_id: str, proof_id: str, *, now: dt.datetime, until: dt.datetime
    ) -> bool:
        """Remember a proof's id until that time; return False if it is known. Forgets ids before `now`."""
        ...


class ExpiryNoticeStore(Protocol):
    """The announced ends of secrets and keys, until they have passed."""

    def is_known(self, transaction: Connection, expiry: Expiry, days: int) -> bool:
        """Return whether this end was announced at this stage or a later one."""
        ...

    def add(self, transaction: Connection, expiry: Expiry, days: int, *, now: dt.datetime) -> bool:
        """Remember an announcement; return False if it is known. Forgets ends before `now`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyedReport:
    """A watch report as it was submitted. body_sha256: of the request in canonical form, hexadecimal."""

    report: WatchReport
    body_sha256: str
    key: str | None = None


class WatchStore(Protocol):
    """Reports about employers, the organisations that opted in to them, and replies."""

    def add(self, transaction: Connection, report: KeyedReport) -> None:
        """Store a new report."""
        ...

    def by_key(self, transaction: Connection, reporter: str, key: str) -> KeyedReport | None:
        """Return the reporter's report under an Idempotency-Key; None if there is none."""
        ...

    def one(self, transaction: Connection, report_id: str) -> WatchReport | None:
        """Return a report, retracted or not; None for an unknown id."""
        ...

    def of(self, transaction: Connection, reporter: str, after: str, limit: int) -> list[WatchReport]:
        """Return at most `limit` reports of the reporter with ids above `after`, ordered by id."""
        ...

    def retract(self, transaction: Connection, report_id: str, at: dt.datetime) -> None:
        """Mark a report as retracted."""
        ...

    def counting(
        self, transaction: Connection, *, since: dt.datetime, country: str | None
    ) -> list[WatchReport]:
        """Return the reports after that time that are not retracted. country: of the employer; None: any.

        Lets other requests run while it reads them.
        """
        ...

    def reported(self, transaction: Connection) -> Iterator[Employer]:
        """Yield the employer of each report that is stored, retracted or not."""
        ...

    def number_made(self, transaction: Connection, reporter: str, *, since: dt.datetime) -> int:
        """Return the number of the reporter's reports after that time, retracted or not."""
        ...

    def choose(self, transaction: Connection, organization: str, *, receives: bool, at: dt.datetime) -> bool:
        """Opt the organisation in or out; return whether that is a change."""
        ...

    def receiving(self, transaction: Connection) -> Mapping[str, dt.datetime]:
        """Return the organisations that opted in, each with the time."""
        ...

    def put_reply(self, transaction: Connection, reply: EmployerReply) -> None:
        """Store a reply in place of the entry's earlier one."""
        ...

    def replies(self, transaction: Connection, country: str | None) -> list[EmployerReply]:
        """Return the replies of employers of the country; None: of any."""
        ...

    def forget_reports(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` reports up to that time; return their number."""
        ...

    def forget_replies(self, transaction: Connection, watched_ids: Sequence[str]) -> None:
        """Delete the replies of these entries."""
        ...


class ApplicationStore(Protocol):
    """Applications to join the network, open and ended, until their traces are deleted."""

    def add(self, transaction: Connection, application: KeptApplication) -> None:
        """Store a new application."""
        ...

    def settle(self, transaction: Connection, application: KeptApplication) -> None:
        """Store an application after a step: what it no longer has is erased."""
        ...

    def one(self, transaction: Connection, application_id: str) -> KeptApplication | None:
        """Return an application; None for an unknown id."""
        ...

    def by_reference(self, transaction: Connection, reference_sha256: str) -> KeptApplication | None:
        """Return the application whose reference has this digest; None if there is none."""
        ...

    def by_approval(self, transaction: Connection, approval_id: str) -> KeptApplication | None:
        """Return the application whose latest request to vet it has this id; None if there is none."""
        ...

    def page(
        self, transaction: Connection, state: ApplicationState | None, after: str, limit: int
    ) -> list[KeptApplication]:
        """Return at most `limit` applications with ids above `after`, ordered by id. state: None for any."""
        ...

    def count_open(self, transaction: Connection) -> int:
        """Return how many wait or are in approval."""
        ...

    def count_withdrawn(self, transaction: Connection, since: dt.datetime, limit: int) -> int:
        """Return how many of the latest `limit` withdrawn ones were sent after the moment."""
        ...

    def overdue(self, transaction: Connection, now: dt.datetime, limit: int) -> list[str]:
        """Return the ids of at most `limit` waiting applications that expire by then, soonest first."""
        ...

    def forget(self, transaction: Connection, now: dt.datetime, limit: int) -> int:
        """Delete at most `limit` ended applications whose time has passed; return their number."""
        ...
