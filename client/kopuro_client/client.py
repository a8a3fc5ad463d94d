"""A client of a hub's HTTP API, with one method for each action of a partner, coordinator or auditor."""

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
    ReadersPage,
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
    """A client of one hub, for one organisation, coordinator or auditor. Threads may share it.

    Methods return the API's JSON objects and raise only `ClientError`s (see `kopuro_client.errors`). While
    the hub is unavailable, the client retries reads and submissions (which carry an Idempotency-Key) a
    bounded number of times. It sends other requests once; after a TransportError, check whether the request
    took effect before you repeat it.
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
        """Return a client of the hub at `url`, which is its discovery document's URL or its base URL.

        sealing_key: the organisation's private key, for opening cases; it never leaves this process. The
        credentials are first used by the first request that needs them. Raises InvalidArgumentError,
        DefectError, or what `Transport.send` raises.
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
        """Return the case as a compact JWE, sealed to the organisation `to` or to the hub's custody key.

        Raises CaseError for an invalid case, SealingError if `to` has published no sealing key.
        """
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
        """Submit a referral. The returned id is the referral's.

        case: sealed here; sealed: sent as it is; give one of them. idempotency_key: by default a new one,
        which makes the retries within this call safe (see `Submission`).
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
        """Submit a batch of referrals. Returns one result for each, in order.

        Mappings are parsed by `Submission.of`. Raises CaseError for an invalid case, with pointers into the
        batch such as `/1/case/name`; then nothing is sent. A refused referral does not affect the others. A
        batch has at most 1,000 referrals and 8 MiB; a larger one is refused as a whole (RefusedError).
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
        response = self._connection.post_lines(self._at("intake", "referrals:batch"), lines)
        return cast(list[BatchResult], json_lines(response, expected=len(lines)))

    def referral(self, referral_id: str) -> Referral:
        return cast(Referral, self._connection.get(self._at("intake", "referrals", referral_id)))

    def referrals_page(
        self, *, status: str | None = None, after: str | None = None, limit: int | None = None
    ) -> Page[ReferralSummary]:
        url = self._at("intake", "referrals")
        page = self._connection.page(url, {"status": status, "after": after, "limit": limit})
        return cast("Page[ReferralSummary]", page)

    def referrals(self, *, status: str | None = None, limit: int | None = None) -> Iterator[ReferralSummary]:
        """Iterate over all referrals that the organisation sent or accepted. limit: page size."""
        return following(lambda after: self.referrals_page(status=status, after=after, limit=limit))

    def decision(self, referral_id: str) -> Decisions:
        """Return the referral's routing decisions: candidates, rules, scores and versions."""
        return cast(
            Decisions,
            self._connection.get(self._at("routing", "referrals", referral_id, "decision")),
        )

    # idempotency_key, below: by default a new one, which makes the retries within the call safe.

    def withdraw(self, referral_id: str, reason: str, *, idempotency_key: str | None = None) -> Accepted:
        """Withdraw a referral, as its sender.

        reason: person_declined, placed_elsewhere, entered_in_error or other.
        """
        return self._say(referral_id, "withdraw", body={"reason": reason}, key=idempotency_key)

    def progress(self, referral_id: str, status: str, *, idempotency_key: str | None = None) -> Accepted:
        """Report progress, as the acceptor. status: in_progress or on_hold."""
        return self._say(referral_id, "progress", body={"status": status}, key=idempotency_key)

    def complete(self, referral_id: str, outcome: str, *, idempotency_key: str | None = None) -> Accepted:
        """Report the outcome, as the acceptor.

        outcome: resolved, partly_resolved, referred_onward, could_not_reach, person_declined or not_resolved.
        """
        return self._say(referral_id, "complete", body={"outcome": outcome}, key=idempotency_key)

    def note(self, referral_id: str, text: str, *, to: str) -> Accepted:
        """Send a note that only the organisation `to` can read. It is sealed to that organisation's key.

        Each call seals the note again. To be able to resend a note after a crash, store the sealed note
        (`seal_note`) with an idempotency key, and send both by `submit_statements`. Raises as `seal_note`.
        """
        return self._say(referral_id, "notes", body={"note": self.seal_note(text, to=to)})

    def seal_note(self, text: str, *, to: str) -> str:
        """Return the note {"text": ...} as a compact JWE for the organisation `to`.

        Raises SealingError if `to` has published no sealing key.
        """
        return seal({"text": text}, self._key_for(to))

    def replace_case(
        self, referral_id: str, case: Mapping[str, Any], *, acceptor: str | None = None
    ) -> Accepted:
        """Resend the case, as the sender, sealed to the acceptor, who could not read it.

        acceptor: by default requested from the hub. Raises InvalidArgumentError if no organisation has
        accepted the referral, CaseError for an invalid case.
        """
        receiver = acceptor or answered(self.referral(referral_id), "acceptor")
        if receiver is None:
            raise InvalidArgumentError("no organisation has accepted the referral yet")
        return self._say(referral_id, "case", body={"to": receiver, "case": self.seal(case, to=receiver)})

    def revoke_consent(self, referral_id: str, *, idempotency_key: str | None = None) -> Accepted:
        """Record that the person has revoked the consent. Open offers are revoked and the case destroyed."""
        return self._say(referral_id, "consent", "revoke", body={}, key=idempotency_key)

    # Offers, the mailbox and cases, as a receiver

    def accept(self, offer_id: str, *, idempotency_key: str | None = None) -> Accepted:
        """Accept an offer. This only records the answer; the mailbox reports whether it was in time."""
        return self._submit("offers", offer_id, "accept", body={}, key=idempotency_key)

    def offer(self, offer_id: str) -> Offer:
        """Return an offer made to the organisation, with the referral's id and sender."""
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
        """Decline an offer. The hub offers the referral to the next candidate at once.

        reason: no_capacity, not_eligible, out_of_area, language, conflict_of_interest, needs_reassessment or
        other; `other` requires a note. note: sealed here, so that only the referral's sender can read it.
        sender: the offer's `sender`; by default requested from the hub.

        Raises SealingError if there is a note and the sender has published no sealing key.
        """
        body = {"reason": reason}
        if note is not None:
            body["note"] = self.seal_note(note, to=sender or answered(self.offer(offer_id), "sender"))
        return self._submit("offers", offer_id, "decline", body=body, key=idempotency_key)

    def submit_statements(
        self, statements: Iterable[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> list[BatchResult]:
        """Submit a batch of statements. Returns one result for each, in order.

        A statement is `{"submit": name, "offer_id" or "referral_id": subject, ...}`. Its names and members
        are accept, decline (reason, note), withdraw (reason), progress (status), complete (outcome), note
        (note), unreadable (reason, content, author), replace_case (to, case) and revoke_consent. Notes and
        cases must be sealed (`seal_note`, `seal`). A refused statement does not affect the others. A batch
        has at most 1,000 statements and 8 MiB; a larger one is refused as a whole (RefusedError).

        A statement may have a member `idempotency_key`. idempotency_key: the batch's key; together with its
        position it identifies each statement without a key. To repeat a batch after a crash, send the same
        statements in the same order under the same key.
        """
        lines = [
            json_body(_with_key(mapping(statement, "a statement"), in_batch=idempotency_key is not None))
            for statement in entries(statements, "the statements")
        ]
        if not lines:
            return []
        url = self._at("intake", "submissions:batch")
        response = self._connection.post_lines(url, lines, idempotency_key=idempotency_key)
        return cast(list[BatchResult], json_lines(response, expected=len(lines)))

    def mailbox(
        self, *, wait: float = 0, after: str | None = None, limit: int | None = None
    ) -> Page[Message]:
        """Return a page of unacknowledged messages, oldest first. Coordinators share one mailbox.

        wait: seconds (at most 30, rounded up) for which the hub may hold the response while the mailbox is
        empty. The page's `next` is null when no more messages are waiting; continue polling from `resume`.
        """
        if not 0 <= number(wait, "wait") <= LONGEST_WAIT:
            raise InvalidArgumentError(f"wait must be 0 to {LONGEST_WAIT:.0f} seconds")
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
        """Yield messages as they arrive, forever or until none has arrived for `give_up_after` seconds.

        Acknowledge each message once you have processed it; the next watch yields unacknowledged messages
        again. The transport's RetryPolicy decides how long an outage the watch survives; with
        `Transport(retry=RetryPolicy.lasting())` it survives any.
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
        """Acknowledge up to 1,000 messages in one request. Ids that are not in the mailbox are ignored."""
        if ids := texts(message_ids, "the message ids"):
            self._connection.post(self._at("delivery", "mailbox:acknowledge"), {"ids": ids}, repeatable=True)

    def sealed_case(self, referral_id: str) -> str:
        """Return the sealed case of a referral that the organisation accepted, a compact JWE to its key."""
        response = self._connection.get(self._at("delivery", "case", referral_id))
        if not isinstance(response.get("case"), str):
            raise DefectError("the hub's response has no sealed case")
        return cast(str, response["case"])

    def case(self, referral_id: str, private_key: Jwk | None = None) -> dict[str, Any]:
        """Return the case of a referral that the organisation accepted, opened here.

        private_key: by default the client's. Raises UnreadableError if the case cannot be opened or is not a
        case, WrongKeyError if it is sealed to another key.
        """
        case = self.open(self.sealed_case(referral_id), private_key)
        check_readable(case)
        return case

    def open_note(self, sealed: str, private_key: Jwk | None = None) -> str:
        """Return the text of a note (`note.delivered`). Raises UnreadableError, WrongKeyError as `case`."""
        text = self.open(sealed, private_key).get("text")
        if not isinstance(text, str):
            raise UnreadableError("the sealed content is not a note", reason="not_understood")
        return text

    def report_unreadable(self, referral_id: str, reason: str, *, note_from: str | None = None) -> Accepted:
        """Report that a case, or a note from the organisation `note_from`, is unreadable.

        The hub notifies the sender, who can send it again. reason: UnreadableError's (cannot_decrypt or
        not_understood), or key_lost if the private key that it is sealed to is lost.
        """
        body = {"reason": reason, "content": "case"}
        if note_from is not None:
            body |= {"content": "note", "author": note_from}
        return self._say(referral_id, "unreadable", body=body)

    def open(self, sealed: str, private_key: Jwk | None = None) -> dict[str, Any]:
        """Return the JSON object in a sealed case or note. Raises as `kopuro_client.open_sealed`."""
        key = private_key or self._sealing_key
        if key is None:
            raise SealingError("cannot open a case without the private sealing key")
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
        """Change the organisation's own record by a JSON merge patch (RFC 7396). A null removes a member.

        revision: that of the record on which the changes are based, by default the current one. Raises
        RefusedError (`precondition-failed`) if the record has changed since.
        """
        if revision is None:
            revision = answered(self.organization(organization_id), "revision")
        url = self._at("directory", "organizations", organization_id)
        return cast(Organization, self._connection.patch(url, changes, revision=revision))

    def publish_key(self, key: Mapping[str, Any]) -> Jwk:
        """Publish the organisation's sealing key in the directory. Only the public key is sent."""
        return cast(Jwk, self._connection.post(self._at("directory", "keys"), public_key(key)))

    # Coordination and audit

    def unplaced_page(self, *, after: str | None = None, limit: int | None = None) -> Page[Unplaced]:
        page = self._connection.page(
            self._at("routing", "coordination", "unplaced"), {"after": after, "limit": limit}
        )
        return cast("Page[Unplaced]", page)

    def unplaced(self, *, limit: int | None = None) -> Iterator[Unplaced]:
        """Iterate over all referrals that wait for a coordinator. limit: page size."""
        return following(lambda after: self.unplaced_page(after=after, limit=limit))

    def place(self, referral_id: str, organization_id: str) -> Accepted:
        """Offer an unplaced referral to an organisation, as a coordinator."""
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
        """Return a page of the audit log's entries, with the tree head that they were read from.

        since, until: RFC 3339. actor: a service (`/kg/routing`), an organisation or a reader. need, region,
        origin, corridor (`KG-RU`): only referrals submitted with these; a group of needs and a country
        include all their members.
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
        """Return a referral's history with its proofs, a file that `kopuro_client.tlog.Bundle` verifies."""
        return self._connection.content(self._at("audit", "history", referral, "bundle"))

    def readers(self, referral: str, *, after: str | None = None, limit: int | None = None) -> ReadersPage:
        """Return who read the facts of a referral: staff, and the acceptor that fetched the case.

        A party gets the reads of its own referral. Each call is itself recorded. Raises Refused `not-found`.
        """
        params = {"after": after, "limit": limit}
        url = self._at("audit", "history", referral, "readers")
        return cast(ReadersPage, self._connection.page(url, params))

    def story(self, referral: str, *, language: str = "en", format: str = "text") -> str:
        """Return a referral's history as text.

        language: en, ru, ky, tg, uz, uz-Cyrl or kk; format: text, markdown or html.
        """
        url = self._at("audit", "history", referral, "story")
        return self._connection.content(url, {"language": language, "format": format}).decode(
            errors="replace"
        )

    def story_document(self, referral: str, *, language: str = "en") -> StoryDocument:
        """Return a referral's history as a JSON document of sentences.

        language: en, ru, ky, tg, uz, uz-Cyrl or kk.
        """
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
        """Return a page of the published log with the salts and data that open its entries.

        Pages are much larger than those of `history`.
        """
        params = {"from": since, "to": until, "type": event_type, "after": after, "limit": limit}
        content = self._connection.content(self._at("audit", "export"), params)
        *entries, last = [json_object(line) for line in content.splitlines()] or [{}]
        if not {"next", "size"} <= last.keys() or not isinstance(last.get("checkpoint"), str):
            raise DefectError("the hub's export is truncated")
        return cast(ExportPage, {"entries": entries, **last})

    def statistics(
        self, by: Iterable[str], *, since: str | None = None, until: str | None = None, exact: bool = False
    ) -> StatisticsTable:
        """Count referrals by one or two dimensions.

        Small classes are combined and small figures withheld, both marked, so that the table is safe to
        publish. exact: show every figure; for auditors and coordinators.
        """
        params = self._statistics_params(by, since, until, exact=exact)
        return cast(StatisticsTable, self._connection.get(self._at("audit", "statistics"), params))

    def statistics_csv(
        self, by: Iterable[str], *, since: str | None = None, until: str | None = None, exact: bool = False
    ) -> str:
        """Return the statistics as CSV.

        An empty cell of a dimension means the sum over it; a withheld count is the word `withheld`.
        """
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
        """Iterate over the referrals that a figure counts, with their log entries, as an auditor."""
        url = self._at("audit", "statistics", "entries")
        params = {**mapping(values, "the values"), "from": since, "to": until, "limit": limit}
        return following(
            lambda after: cast(
                "Page[CountedReferral]", self._connection.page(url, {**params, "after": after})
            )
        )

    def checkpoint(self) -> str:
        """Return the log's latest checkpoint, a signed note (C2SP tlog-checkpoint)."""
        return self._connection.text(self.discovery.address("audit", "checkpoint"))

    def log_key(self) -> str:
        """Return the verifier key that the hub publishes for its log.

        Compare it with the key that you got from another source.
        """
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
    # The hub treats a null as a missing key, too.
    if in_batch or statement.get("idempotency_key") is not None:
        return statement
    return {**statement, "idempotency_key": new_idempotency_key()}


def _batch_line(
    index: int, submission: Submission | Mapping[str, Any], key_for: Callable[[str | None], Jwk]
) -> bytes:
    """Return a line of a batch. index: from 0; InvalidArgumentError and CaseError name the position."""
    try:
        read = submission if isinstance(submission, Submission) else Submission.of(submission)
        return json_body({**read.body(key_for), "idempotency_key": read.idempotency_key})
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"submission {index + 1}: {error}") from error
    except CaseError as error:
        raise error.below(f"/{index}/case") from error
