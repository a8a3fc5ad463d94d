"""The rates at which partners change what the directory stores, in this process.

The rate of requests (`runtime/access/rate_limits.py`) counts what is sent. One change can store more than it
costs to send, and all of it at every service.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from contracts.errors import RateLimited
from contracts.organization import Organization
from runtime.access.token_buckets import Allowance, TokenBuckets
from services.directory.domain.record_size import cost

# KiB of an organisation's record: 16 changes of the largest record at once and 15 an hour, or 256 of a small
# one at once and 240 an hour.
RECORDS: Final = Allowance(name="record-kib", burst=1024, per_minute=16)
# Replacements of a sealing key with proof: the coordinators are notified of each, and its key is kept
# permanently.
KEYS: Final = Allowance(name="sealing-keys", burst=5, per_minute=5 / (24 * 60))
# New secrets and sets of keys of a client, and the passwords at the partners' broker that it sets. A thief of
# one client uses up no other's.
CREDENTIALS: Final = Allowance(name="credential-changes", burst=20, per_minute=20 / 60)
# A client ends tokens, its own and those of later clients.
REVOCATIONS: Final = Allowance(name="token-revocations", burst=5, per_minute=5)
# Requests for a second person's approval: each stays in the operators' list, also once it is withdrawn.
REQUESTS: Final = Allowance(name="approval-requests", burst=20, per_minute=20 / 60)
# An organisation opts in to watch reports. To opt out is not counted: each follows an opt-in, and must always
# be possible.
OPT_INS: Final = Allowance(name="opt-ins", burst=5, per_minute=5 / (24 * 60))


class ChangeRates:
    """Counts what organisations store by changes of records and keys, and clients by those of credentials.

    To end a client is not counted: it happens once, and must always be possible.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds, monotonic."""
        self._records = TokenBuckets(RECORDS, clock)
        self._keys = TokenBuckets(KEYS, clock)
        self._credentials = TokenBuckets(CREDENTIALS, clock)
        self._revocations = TokenBuckets(REVOCATIONS, clock)
        self._requests = TokenBuckets(REQUESTS, clock)
        self._opt_ins = TokenBuckets(OPT_INS, clock)

    def require_record(self, organization: str, wanted: Organization) -> None:
        """Raise RateLimited if the organisation may not store this record yet. Counts nothing."""
        wait_for = min(cost(wanted), RECORDS.burst)
        if self._records.remaining(organization).left >= wait_for:
            return
        raise RateLimited(
            "Your organisation has changed its record too often. Each change stores the whole record, and"
            f" {RECORDS.per_minute} KiB a minute may be stored.",
            retry_after=self._records.seconds_until(organization, wait_for),
        )

    def count_record(self, organization: str, stored: Organization) -> None:
        """Count a record that was stored or waits for a second person."""
        self._records.use(organization, min(cost(stored), RECORDS.burst))

    def take_key(self, organization: str) -> None:
        """Count the replacement of a sealing key with proof. Raises RateLimited."""
        _take(
            self._keys,
            organization,
            "Your organisation has replaced its sealing key too often. If the key must be replaced now, ask"
            " for an approval by the hub's operators (`approval`).",
        )

    def take_credential_change(self, client: str) -> None:
        """Count a new secret, set of keys or password. Raises RateLimited."""
        _take(self._credentials, client, "This client has changed its secret, keys or passwords too often.")

    def take_request(self, client: str) -> None:
        """Count a partner's request for an approval, also one that it withdraws. Raises RateLimited."""
        _take(self._requests, client, "This client has requested too many approvals.")

    def take_opt_in(self, organization: str) -> None:
        """Count an organisation's choice to receive watch reports. Raises RateLimited."""
        _take(self._opt_ins, organization, "Your organisation has opted in and out too often.")

    def take_revocation(self, client: str) -> None:
        """Count an end of tokens. client: the one that asks for it. Raises RateLimited."""
        _take(self._revocations, client, "This client has ended tokens too often.")


def _take(buckets: TokenBuckets, counted: str, detail: str) -> None:
    if not buckets.take(counted):
        raise RateLimited(detail, retry_after=buckets.seconds_until(counted))
