"""Referrals, as their sender or acceptor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

from kopuro_client.arguments import entries, mapping
from kopuro_client.errors import PROBLEM, CaseError, InvalidArgumentError, RefusedError
from kopuro_client.paging import following
from kopuro_client.records import (
    Accepted,
    BatchResult,
    Decisions,
    Jwk,
    Page,
    Preview,
    Referral,
    ReferralSummary,
)
from kopuro_client.resources.batches import PATIENCE, send_batch
from kopuro_client.resources.sealed_content import SealedContent
from kopuro_client.responses import required_member
from kopuro_client.submissions import Submission, new_idempotency_key
from kopuro_client.transport import json_body

NOT_SEALED: Final = f"{PROBLEM}case-not-sealed"
# The members of a submission that are not routing facts.
_NOT_PREVIEWED: Final = frozenset({"case", "onward_from"})


class Referrals(SealedContent):
    """Submits, reads, reports on and closes referrals."""

    def submit(
        self,
        facts: Mapping[str, Any],
        *,
        case: Mapping[str, Any] | None = None,
        sealed: str | None = None,
        onward_from: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Submit a referral. The returned id is the referral's.

        case: sealed here; sealed: sent as it is; give one of them. onward_from: the referral that you
        accepted and refer onward with this one; the consent and the case in it are new ones. idempotency_key:
        by default a new one, which makes the retries within this call safe (see `Submission`).
        """
        submission = Submission(
            facts=facts if onward_from is None else {**mapping(facts, "facts"), "onward_from": onward_from},
            case=case,
            sealed=sealed,
            idempotency_key=new_idempotency_key() if idempotency_key is None else idempotency_key,
        )
        try:
            return self._send(submission)
        except RefusedError as refused:
            # The hub may have replaced its custody key a moment ago.
            to_custody = case is not None and submission.facts.get("to") is None
            if refused.type != NOT_SEALED or not to_custody or not self._custody_key.renew():
                raise
            return self._send(submission)

    def submit_batch(
        self, submissions: Iterable[Submission | Mapping[str, Any]], *, patience: float = PATIENCE
    ) -> list[BatchResult]:
        """Submit a batch of referrals. Returns one result for each, in order.

        Mappings are parsed by `Submission.of`. Raises CaseError for an invalid case, with pointers into the
        batch such as `/1/case/name`; then nothing is sent. A refused referral does not affect the others. A
        batch has at most 1,000 referrals and 8 MiB; a larger one is refused as a whole (RefusedError).

        Referrals beyond the organisation's rate are sent again when the hub takes them. patience: seconds;
        those that would have to wait longer keep the result 429 `too-many-submissions`.
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
        url = self._at("intake", "referrals:batch")
        return send_batch(self._connection, url, lines, patience=patience)

    def _send(self, submission: Submission) -> Accepted:
        return cast(
            Accepted,
            self._connection.post(
                self._at("intake", "referrals"),
                submission.body(self._key_for),
                idempotency_key=submission.idempotency_key,
            ),
        )

    def preview(self, facts: Mapping[str, Any]) -> Preview:
        """Return the preview of a referral with these facts. The hub stores nothing.

        The members `case` and `onward_from` are not sent. Retried like a read. Raises InvalidArgumentError
        if the facts are not a mapping.
        """
        return cast(
            Preview,
            self._connection.post(
                self._at("intake", "referrals:preview"),
                {
                    name: value
                    for name, value in mapping(facts, "facts").items()
                    if name not in _NOT_PREVIEWED
                },
                repeatable=True,
            ),
        )

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
        return self._submit(
            "referrals", referral_id, "withdraw", body={"reason": reason}, key=idempotency_key
        )

    def progress(self, referral_id: str, status: str, *, idempotency_key: str | None = None) -> Accepted:
        """Report progress, as the acceptor. status: in_progress or on_hold."""
        return self._submit(
            "referrals", referral_id, "progress", body={"status": status}, key=idempotency_key
        )

    def hand_back(
        self,
        referral_id: str,
        reason: str,
        *,
        note: str | None = None,
        sender: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Hand an accepted referral back. The hub asks the next candidates; the case can no longer be read.

        reason: no_capacity, not_eligible, out_of_area, language, conflict_of_interest, needs_reassessment,
        person_prefers_another or other; `other` requires a note. note: sealed here, so that only the
        referral's sender can read it. sender: by default requested from the hub.

        Raises SealingError if there is a note and the sender has published no sealing key.
        """
        body = {"reason": reason}
        if note is not None:
            body["note"] = self.seal_note(
                note, to=sender or required_member(self.referral(referral_id), "sender")
            )
        return self._submit("referrals", referral_id, "hand-back", body=body, key=idempotency_key)

    def complete(self, referral_id: str, outcome: str, *, idempotency_key: str | None = None) -> Accepted:
        """Report the outcome, as the acceptor.

        outcome: resolved, partly_resolved, referred_onward, could_not_reach, person_declined or not_resolved.
        """
        return self._submit(
            "referrals", referral_id, "complete", body={"outcome": outcome}, key=idempotency_key
        )

    def note(self, referral_id: str, text: str, *, to: str) -> Accepted:
        """Send a note that only the organisation `to` can read. It is sealed to that organisation's key.

        Each call seals the note again. To be able to resend a note after a crash, store the sealed note
        (`seal_note`) with an idempotency key, and send both by `submit_statements`. Raises as `seal_note`.
        """
        return self._say(referral_id, "notes", body={"note": self.seal_note(text, to=to)})

    def replace_case(
        self, referral_id: str, case: Mapping[str, Any], *, acceptor: str | None = None
    ) -> Accepted:
        """Replace the case, as the sender.

        It is sealed to the hub's custody key, as the first one was. Every organisation that has accepted the
        referral, or a part of it, gets the new case, and so does every later acceptor. The case of a referral
        to a named organisation (`to`) is sealed to that organisation. acceptor: seal it to this acceptor
        instead, for it alone. Raises CaseError for an invalid case, InvalidArgumentError if the named
        organisation has not accepted the referral.
        """
        if acceptor is None:
            referral = self.referral(referral_id)
            if (required_member(referral, "facts") or {}).get("to") is not None:
                acceptor = required_member(referral, "acceptor")
                if acceptor is None:
                    raise InvalidArgumentError("no organisation has accepted the referral yet")
        try:
            return self._send_case(referral_id, case, acceptor)
        except RefusedError as refused:
            # The hub may have replaced its custody key a moment ago.
            if refused.type != NOT_SEALED or acceptor is not None or not self._custody_key.renew():
                raise
            return self._send_case(referral_id, case, acceptor)

    def _send_case(self, referral_id: str, case: Mapping[str, Any], acceptor: str | None) -> Accepted:
        body = {"case": self.seal(case, to=acceptor)}
        if acceptor is not None:
            body["to"] = acceptor
        return self._submit("referrals", referral_id, "case", body=body)

    def revoke_consent(self, referral_id: str, *, idempotency_key: str | None = None) -> Accepted:
        """Record that the person has revoked the consent. Open offers are revoked and the case destroyed."""
        return self._say(referral_id, "consent", "revoke", body={}, key=idempotency_key)


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
