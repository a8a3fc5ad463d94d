"""The partner's side of a hub's HTTP API.

One method for each thing a partner, coordinator or auditor can do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self, cast

from kopuro_client.answers import answered, json_lines, json_object
from kopuro_client.arguments import entries, mapping, number, text, texts
from kopuro_client.cases import check_case, check_readable
from kopuro_client.connection import Connection
from kopuro_client.discovery import Discovery, discover
from kopuro_client.errors import (
    CaseError,
    ClientError,
    DefectError,
    InvalidArgumentError,
    SealingError,
    UnreadableError,
)
from kopuro_client.paging import LONGEST_WAIT, following, watching
from kopuro_client.records import (
    Accepted,
    BatchResult,
    CountedReferral,
    Decisions,
    ExportPage,
    HistoryPage,
    Jwk,
    Message,
    Offer,
    Organization,
    Page,
    Referral,
    ReferralSummary,
    Service,
    StatisticsTable,
    StoryDocument,
    Unplaced,
)
from kopuro_client.sealing import open_sealed, public_key, seal
from kopuro_client.submissions import Submission, new_idempotency_key
from kopuro_client.tokens import ClientCredentials, TokenSource
from kopuro_client.transport import Transport, json_body


class Kopuro:
    """A client of one hub, for one organisation (or coordinator, or auditor). Threads may share it.

    Answers are the API's own JSON objects. Every method raises `ClientError`s only (see
    `kopuro_client.errors`). Reads, and everything that is submitted (it carries an Idempotency-Key), are
    repeated a bounded number of times while the hub is unavailable; other requests are sent once: after
    a TransportError, look before you repeat.
    """

    def __init__(
        self, discovery: Discovery, connection: Connection, *, sealing_key: Jwk | None = None
    ) -> None:
        self.discovery = discovery
        self._connection = connection
        self._sealing_key = sealing_key

    @classmethod
    def discover(
        cls,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        sealing_key: Jwk | None = None,
        transport: Transport | None = None,
    ) -> Self:
        """A client of the hub at `url` (of its discovery document, or its base).

        sealing_key: the organisation's private key, to open cases with; it never leaves this
        process. The credentials are used first when something is asked that needs them.
        """
        transport = transport or Transport()
        try:
            found = discover(transport, url)
        except ClientError:
            transport.close()
            raise
        credentials = ClientCredentials(client_id=client_id, client_secret=client_secret)
        tokens = TokenSource(
            transport,
            token_url=found.address("directory", "oauth", "token"),
            credentials=credentials,
        )
        return cls(found, Connection(transport, tokens), sealing_key=sealing_key)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Referrals, as their sender or acceptor

    def seal(self, case: Mapping[str, Any], *, to: str | None = None) -> str:
        """The case as a compact JWE, for the organisation `to`, else for the hub's custody key."""
        check_case(case)
        return seal(case, self._key_for(to))

    def submit(
        self,
        facts: Mapping[str, Any],
        *,
        case: Mapping[str, Any] | None = None,
        sealed: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Submit a referral; the id answered is the referral's.

        case is sealed here; sealed is sent as it is. Without an idempotency key of yours a fresh one makes
        the repetitions inside this call safe (see `Submission`).
        """
        submission = Submission(
            facts=facts,
            case=case,
            sealed=sealed,
            idempotency_key=new_idempotency_key() if idempotency_key is None else idempotency_key,
        )
        return cast(
            Accepted,
            self._connection.post(
                self._at("intake", "referrals"),
                submission.body(self._key_for),
                idempotency_key=submission.idempotency_key,
            ),
        )

    def submit_batch(self, submissions: Iterable[Submission | Mapping[str, Any]]) -> list[BatchResult]:
        """Submit many at once: one result for each, in their order.

        A mapping is read as `Submission.of` reads it. A case that does not follow the contract raises
        CaseError with pointers into the batch, such as `/1/case/name`; nothing is sent then. A refused one
        does not hold up the others. At most a thousand, and 8 MiB: RefusedError, all of them together, for
        more.
        """
        keys: dict[str | None, Jwk] = {}

        def key_for(to: str | None) -> Jwk:
            if to not in keys:
                keys[to] = self._key_for(to)
            return keys[to]

        lines = [
            _batch_line(index, submission, key_for)
            for index, submission in enumerate(entries(submissions, "the submissions"))
        ]
        if not lines:
            return []
        answer = self._connection.post_lines(self._at("intake", "referrals:batch"), lines)
        return cast(list[BatchResult], json_lines(answer, expected=len(lines)))

    def referral(self, referral_id: str) -> Referral:
        return cast(Referral, self._connection.get(self._at("intake", "referrals", referral_id)))

    def referrals_page(
        self, *, status: str | None = None, after: str | None = None, limit: int | None = None
    ) -> Page[ReferralSummary]:
        url = self._at("intake", "referrals")
        page = self._connection.page(url, {"status": status, "after": after, "limit": limit})
        return cast("Page[ReferralSummary]", page)

    def referrals(self, *, status: str | None = None, limit: int | None = None) -> Iterator[ReferralSummary]:
        """Every referral one is party to. limit: how many are fetched at a time."""
        return following(lambda after: self.referrals_page(status=status, after=after, limit=limit))

    def decision(self, referral_id: str) -> Decisions:
        """Why the referral went where it went: candidates, rules, scores, versions."""
        return cast(
            Decisions,
            self._connection.get(self._at("routing", "referrals", referral_id, "decision")),
        )

    # idempotency_key, below: without one of yours, a fresh one covers the repetitions inside the call.

    def withdraw(self, referral_id: str, reason: str, *, idempotency_key: str | None = None) -> Accepted:
        """As the sender. reason: person_declined, placed_elsewhere, entered_in_error or other."""
        return self._say(referral_id, "withdraw", body={"reason": reason}, key=idempotency_key)

    def progress(self, referral_id: str, status: str, *, idempotency_key: str | None = None) -> Accepted:
        """As the acceptor. status: in_progress or on_hold."""
        return self._say(referral_id, "progress", body={"status": status}, key=idempotency_key)

    def complete(self, referral_id: str, outcome: str, *, idempotency_key: str | None = None) -> Accepted:
        """Report the outcome, as the acceptor.

        outcome: resolved, partly_resolved, referred_onward, could_not_reach, person_declined or not_resolved.
        """
        return self._say(referral_id, "complete", body={"outcome": outcome}, key=idempotency_key)

    def note(self, referral_id: str, text: str, *, to: str) -> Accepted:
        """A note for the eyes of the organisation `to` only: {"text": ...} sealed to its key.

        Each call seals anew. To repeat a note after a crash, keep what was sealed (`kopuro_client.seal`) and
        send it with a key of yours by `submit_statements`.
        """
        return self._say(referral_id, "notes", body={"note": self.seal_note(text, to=to)})

    def seal_note(self, text: str, *, to: str) -> str:
        """The note {"text": ...} as a compact JWE for the organisation `to`.

        Raises SealingError where `to` has published no sealing key.
        """
        return seal({"text": text}, self._key_for(to))

    def replace_case(
        self, referral_id: str, case: Mapping[str, Any], *, acceptor: str | None = None
    ) -> Accepted:
        """As the sender, send the case again, sealed to the acceptor, who could not read it.

        acceptor: None: the hub is asked. Raises InvalidArgumentError where nobody has accepted.
        """
        receiver = acceptor or answered(self.referral(referral_id), "acceptor")
        if receiver is None:
            raise InvalidArgumentError("nobody has accepted the referral, so nobody has its case yet")
        return self._say(referral_id, "case", body={"to": receiver, "case": self.seal(case, to=receiver)})

    def revoke_consent(self, referral_id: str, *, idempotency_key: str | None = None) -> Accepted:
        """The person has taken the consent back: open offers are revoked, the case is destroyed."""
        return self._say(referral_id, "consent", "revoke", body={}, key=idempotency_key)

    # Offers, the mailbox and cases, as a receiver

    def accept(self, offer_id: str, *, idempotency_key: str | None = None) -> Accepted:
        """The 202 says that the answer is recorded; the mailbox, whether it was in time."""
        return self._submit("offers", offer_id, "accept", body={}, key=idempotency_key)

    def offer(self, offer_id: str) -> Offer:
        """An offer that was made to one's organisation, with the referral and its sender."""
        return cast(Offer, self._connection.get(self._at("intake", "offers", offer_id)))

    def decline(
        self,
        offer_id: str,
        reason: str,
        *,
        note: str | None = None,
        sender: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Answer an offer with no: the next candidate is asked at once.

        reason: no_capacity, not_eligible, out_of_area, language, conflict_of_interest, needs_reassessment or
        other; `other` needs a note. note: sealed here for the referral's sender, who alone reads it.
        sender: as the offer names it; None: the hub is asked.

        Raises SealingError where there is a note and the sender has published no sealing key.
        """
        body = {"reason": reason}
        if note is not None:
            body["note"] = self.seal_note(note, to=sender or answered(self.offer(offer_id), "sender"))
        return self._submit("offers", offer_id, "decline", body=body, key=idempotency_key)

    def submit_statements(
        self, statements: Iterable[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> list[BatchResult]:
        """Say many things at once: one result for each, in their order; a refused one holds up nobody.

        A statement is `{"submit": name, "offer_id" or "referral_id": subject, ...}`: accept, decline
        (reason, note), withdraw (reason), progress (status), complete (outcome), note (note),
        unreadable (reason, content, author), replace_case (to, case), revoke_consent. Notes and cases are
        sealed (`seal_note`, `seal`). At most a thousand, and 8 MiB: RefusedError, all of them together, for
        more.

        A statement may have a member `idempotency_key`. idempotency_key: of the batch; it stands for every
        statement without one, together with the statement's place. To repeat a batch after a crash, send the
        same statements in the same order under the same key.
        """
        lines = [
            json_body(_with_key(mapping(said, "a statement"), in_batch=idempotency_key is not None))
            for said in entries(statements, "the statements")
        ]
        if not lines:
            return []
        url = self._at("intake", "submissions:batch")
        answer = self._connection.post_lines(url, lines, idempotency_key=idempotency_key)
        return cast(list[BatchResult], json_lines(answer, expected=len(lines)))

    def mailbox(
        self, *, wait: float = 0, after: str | None = None, limit: int | None = None
    ) -> Page[Message]:
        """The messages not yet acknowledged, oldest first. A coordinator also reads the shared mailbox.

        wait: how many seconds (to 30, rounded up) the hub may hold an empty answer. The page's `next` is
        null when no more messages are waiting; poll on with its `resume`.
        """
        if not 0 <= number(wait, "wait") <= LONGEST_WAIT:
            raise InvalidArgumentError(f"wait is 0 to {LONGEST_WAIT:.0f} seconds")
        params = {"after": after, "limit": limit, "wait": math.ceil(wait) or None}
        return cast(
            "Page[Message]",
            self._connection.page(self._at("delivery", "mailbox"), params, wait=wait),
        )

    def watch(
        self,
        *,
        after: str | None = None,
        wait: float = LONGEST_WAIT,
        give_up_after: float | None = None,
    ) -> Iterator[Message]:
        """Messages as they come, for ever, or until none has come for `give_up_after` seconds.

        Acknowledge each when you have dealt with it: what is not acknowledged comes again to the
        next watch. An outage ends the watch after the transport's RetryPolicy: with
        `Transport(retry=RetryPolicy.lasting())` it outlasts any.
        """
        return watching(
            lambda after, wait: self.mailbox(wait=wait, after=after),
            after=after,
            wait=wait,
            give_up_after=give_up_after,
            clock=self._connection.clock,
        )

    def acknowledge(self, message_id: str) -> None:
        self._connection.command(self._at("delivery", "mailbox", message_id, "acknowledge"))

    def acknowledge_all(self, message_ids: Iterable[str]) -> None:
        """Up to a thousand messages in one request. What is not in one's mailbox is passed over."""
        if ids := texts(message_ids, "the message ids"):
            self._connection.post(self._at("delivery", "mailbox:acknowledge"), {"ids": ids}, repeatable=True)

    def sealed_case(self, referral_id: str) -> str:
        """The case of a referral one accepted, as the vault released it: sealed to one's key."""
        answer = self._connection.get(self._at("delivery", "case", referral_id))
        if not isinstance(answer.get("case"), str):
            raise DefectError("the hub's answer holds no sealed case")
        return cast(str, answer["case"])

    def case(self, referral_id: str, private_key: Jwk | None = None) -> dict[str, Any]:
        """The same, opened here, with `private_key` or the key this client was given.

        Raises UnreadableError where it cannot be opened or is not a case, WrongKeyError where it is sealed
        to another key.
        """
        case = self.open(self.sealed_case(referral_id), private_key)
        check_readable(case)
        return case

    def open_note(self, sealed: str, private_key: Jwk | None = None) -> str:
        """The text of a note (`note.delivered`). Raises UnreadableError and WrongKeyError, as `case`."""
        text = self.open(sealed, private_key).get("text")
        if not isinstance(text, str):
            raise UnreadableError("what was sealed is not a note", reason="not_understood")
        return text

    def report_unreadable(self, referral_id: str, reason: str, *, note_from: str | None = None) -> Accepted:
        """Report that a case, or a note by the organisation `note_from`, cannot be read.

        Whoever sealed it is told, and can send it again. reason: as UnreadableError has it (cannot_decrypt,
        not_understood), or key_lost: it is sealed to a private key that one no longer has.
        """
        body = {"reason": reason, "content": "case"}
        if note_from is not None:
            body |= {"content": "note", "author": note_from}
        return self._say(referral_id, "unreadable", body=body)

    def open(self, sealed: str, private_key: Jwk | None = None) -> dict[str, Any]:
        """Open a case or a note that is sealed to one's key."""
        key = private_key or self._sealing_key
        if key is None:
            raise SealingError("no private sealing key was given: a case cannot be opened")
        return open_sealed(sealed, key)

    # The directory

    def organization(self, organization_id: str) -> Organization:
        return cast(
            Organization,
            self._connection.get(self._at("directory", "organizations", organization_id)),
        )

    def organizations(
        self, *, kind: str | None = None, country: str | None = None, limit: int | None = None
    ) -> Iterator[Organization]:
        url = self._at("directory", "organizations")
        params = {"kind": kind, "country": country, "limit": limit}
        return following(
            lambda after: cast("Page[Organization]", self._connection.page(url, {**params, "after": after}))
        )

    def services(
        self, *, need: str | None = None, region: str | None = None, limit: int | None = None
    ) -> Iterator[Service]:
        url = self._at("directory", "services")
        params = {"need": need, "region": region, "limit": limit}
        return following(
            lambda after: cast("Page[Service]", self._connection.page(url, {**params, "after": after}))
        )

    def update_organization(
        self, organization_id: str, changes: Mapping[str, Any], *, revision: int | None = None
    ) -> Organization:
        """Change a part of one's own record by a JSON merge patch (RFC 7396): what is null is cleared.

        revision: of the record that the changes were made from, the present one by default. Raises
        RefusedError (`precondition-failed`) when somebody has changed the record since.
        """
        if revision is None:
            revision = answered(self.organization(organization_id), "revision")
        url = self._at("directory", "organizations", organization_id)
        return cast(Organization, self._connection.patch(url, changes, revision=revision))

    def publish_key(self, key: Mapping[str, Any]) -> Jwk:
        """Publish one's own sealing key in the directory; of a private key only the public half is sent."""
        return cast(Jwk, self._connection.post(self._at("directory", "keys"), public_key(key)))

    # Coordination and audit

    def unplaced_page(self, *, after: str | None = None, limit: int | None = None) -> Page[Unplaced]:
        page = self._connection.page(
            self._at("routing", "coordination", "unplaced"), {"after": after, "limit": limit}
        )
        return cast("Page[Unplaced]", page)

    def unplaced(self, *, limit: int | None = None) -> Iterator[Unplaced]:
        """Every referral that waits for a coordinator."""
        return following(lambda after: self.unplaced_page(after=after, limit=limit))

    def place(self, referral_id: str, organization_id: str) -> Accepted:
        """As a coordinator, offer an unplaced referral to an organisation."""
        url = self._at("routing", "coordination", referral_id, "offer")
        return cast(Accepted, self._connection.post(url, {"organization": organization_id}))

    def history(
        self,
        *,
        referral: str | None = None,
        organization: str | None = None,
        event_type: str | None = None,
        since: str | None = None,
        until: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        actor: str | None = None,
        need: str | None = None,
        region: str | None = None,
        origin: str | None = None,
        corridor: str | None = None,
        outcome: str | None = None,
    ) -> HistoryPage:
        """A page of the audit log's entries, with the tree head they were read from.

        since, until: RFC 3339. actor: who did it: a service (`/kg/routing`), an organisation, a reader.
        need, region, origin, corridor (`KG-RU`): of the referrals whose submission says so; a group and a
        country stand for all of theirs.
        """
        params = {
            "referral": referral,
            "organization": organization,
            "type": event_type,
            "from": since,
            "to": until,
            "actor": actor,
            "need": need,
            "region": region,
            "origin": origin,
            "corridor": corridor,
            "outcome": outcome,
            "after": after,
            "limit": limit,
        }
        return cast(HistoryPage, self._connection.page(self._at("audit", "history"), params))

    def bundle(self, referral: str) -> bytes:
        """A referral's history with its proofs, as a file that `kopuro_client.tlog.Bundle` verifies."""
        return self._connection.content(self._at("audit", "history", referral, "bundle"))

    def story(self, referral: str, *, language: str = "en", format: str = "text") -> str:
        """A referral's history in sentences.

        language: en, ru, ky, tg, uz, uz-Cyrl or kk; format: text, markdown or html.
        """
        url = self._at("audit", "history", referral, "story")
        return self._connection.content(url, {"language": language, "format": format}).decode(
            errors="replace"
        )

    def story_document(self, referral: str, *, language: str = "en") -> StoryDocument:
        """The same as its parts. language: en, ru, ky, tg, uz, uz-Cyrl or kk."""
        url = self._at("audit", "history", referral, "story")
        return cast(StoryDocument, self._connection.get(url, {"language": language, "format": "json"}))

    def export_page(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        event_type: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> ExportPage:
        """A page of the published log with what opens it; a page is much larger than one of the history."""
        params = {"from": since, "to": until, "type": event_type, "after": after, "limit": limit}
        content = self._connection.content(self._at("audit", "export"), params)
        *entries, last = [json_object(line) for line in content.splitlines()] or [{}]
        if not {"next", "size"} <= last.keys() or not isinstance(last.get("checkpoint"), str):
            raise DefectError("the hub's export breaks off")
        return cast(ExportPage, {"entries": entries, **last})

    def statistics(
        self, by: Iterable[str], *, since: str | None = None, until: str | None = None, exact: bool = False
    ) -> StatisticsTable:
        """How many referrals, by one or two dimensions.

        Small classes are combined and small figures withheld (both are marked), so that the table can be
        published. exact: every figure as it is; for auditors and coordinators.
        """
        params = self._statistics_params(by, since, until, exact=exact)
        return cast(StatisticsTable, self._connection.get(self._at("audit", "statistics"), params))

    def statistics_csv(
        self, by: Iterable[str], *, since: str | None = None, until: str | None = None, exact: bool = False
    ) -> str:
        """The same as CSV. An empty cell of a dimension is the sum over it; a withheld count is the word."""
        params = {**self._statistics_params(by, since, until, exact=exact), "format": "csv"}
        return self._connection.content(self._at("audit", "statistics"), params).decode(errors="replace")

    @staticmethod
    def _statistics_params(
        by: Iterable[str], since: str | None, until: str | None, *, exact: bool
    ) -> dict[str, str | None]:
        named = ",".join(texts(by, "the dimensions"))
        return {"by": named, "from": since, "to": until, "exact": "true" if exact else None}

    def counted(
        self,
        values: Mapping[str, str],
        *,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
    ) -> Iterator[CountedReferral]:
        """As an auditor: the referrals a figure counts, and the log's entries that say so."""
        url = self._at("audit", "statistics", "entries")
        params = {**mapping(values, "the values"), "from": since, "to": until, "limit": limit}
        return following(
            lambda after: cast(
                "Page[CountedReferral]", self._connection.page(url, {**params, "after": after})
            )
        )

    def checkpoint(self) -> str:
        """The log's latest checkpoint: a signed note (C2SP tlog-checkpoint)."""
        return self._connection.text(self.discovery.address("audit", "checkpoint"))

    def log_key(self) -> str:
        """The verifier key that the hub names as its log's. Compare it with one told by somebody else."""
        return self._connection.text(self._at("audit", "log-key")).strip()

    def _at(self, service: str, *path: str) -> str:
        return self.discovery.address(service, "v1", *path)

    def _say(
        self, referral_id: str, *action: str, body: Mapping[str, Any], key: str | None = None
    ) -> Accepted:
        return self._submit("referrals", referral_id, *action, body=body, key=key)

    def _submit(self, *path: str, body: Mapping[str, Any], key: str | None = None) -> Accepted:
        url = self._at("intake", *path)
        key = new_idempotency_key() if key is None else text(key, "an idempotency key")
        return cast(Accepted, self._connection.post(url, body, idempotency_key=key))

    def _key_for(self, organization_id: str | None) -> Jwk:
        if organization_id is None:
            return self.discovery.custody_key
        key = self.organization(organization_id).get("sealing_key")
        if key is None:
            raise SealingError(f"{organization_id} has published no sealing key")
        return key


def _with_key(statement: Mapping[str, Any], *, in_batch: bool) -> Mapping[str, Any]:
    # A null is no key, neither here nor at the hub.
    if in_batch or statement.get("idempotency_key") is not None:
        return statement
    return {**statement, "idempotency_key": new_idempotency_key()}


def _batch_line(
    index: int, submission: Submission | Mapping[str, Any], key_for: Callable[[str | None], Jwk]
) -> bytes:
    """A line of a batch. index: its place, from 0, which InvalidArgumentError and CaseError name."""
    try:
        read = submission if isinstance(submission, Submission) else Submission.of(submission)
        return json_body({**read.body(key_for), "idempotency_key": read.idempotency_key})
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"submission {index + 1}: {error}") from error
    except CaseError as error:
        raise error.below(f"/{index}/case") from error
