"""Batches of answers, reports and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kopuro_client.arguments import entries, mapping
from kopuro_client.arguments import idempotency_key as check_idempotency_key
from kopuro_client.records import BatchResult
from kopuro_client.resources.batches import PATIENCE, send_batch
from kopuro_client.resources.connected import Connected
from kopuro_client.submissions import new_idempotency_key
from kopuro_client.transport import json_body


class Statements(Connected):
    """Submits many statements in one request."""

    def submit_statements(
        self,
        statements: Iterable[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        patience: float = PATIENCE,
    ) -> list[BatchResult]:
        """Submit a batch of statements. Returns one result for each, in order.

        A statement is `{"submit": name, "offer_id" or "referral_id": subject, ...}`. Its names and members
        are accept, decline (reason, note), withdraw (reason), progress (status), complete (outcome),
        hand_back (reason, note), note (note), unreadable (reason, content, author), replace_case (to, case)
        and revoke_consent. Notes and cases must be sealed (`seal_note`, `seal`). A refused statement does not
        affect the others. A batch has at most 1,000 statements and 8 MiB; a larger one is refused as a whole
        (RefusedError).

        A statement may have a member `idempotency_key`. idempotency_key: the batch's key; together with its
        position it identifies each statement without a key. To repeat a batch after a crash, send the same
        statements in the same order under the same key.

        Statements beyond the organisation's rate are sent again when the hub takes them. patience: seconds;
        those that would have to wait longer keep the result 429 `too-many-submissions`.
        """
        if idempotency_key is not None:
            check_idempotency_key(idempotency_key)
        lines = [
            json_body(_with_key(mapping(statement, "a statement"), in_batch=idempotency_key is not None))
            for statement in entries(statements, "the statements")
        ]
        if not lines:
            return []
        url = self._at("intake", "submissions:batch")
        return send_batch(self._connection, url, lines, idempotency_key=idempotency_key, patience=patience)


def _with_key(statement: Mapping[str, Any], *, in_batch: bool) -> Mapping[str, Any]:
    # The hub treats a null as a missing key, too.
    if in_batch or statement.get("idempotency_key") is not None:
        return statement
    return {**statement, "idempotency_key": new_idempotency_key()}
