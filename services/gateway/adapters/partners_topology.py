"""The exchanges and the queues of the partners' virtual host, with their arguments."""

from __future__ import annotations

from typing import Any, Final

from services.gateway.domain.partner import DEAD_LETTERS, exchange_of, submissions_of
from services.gateway.domain.window import CAPACITY

# RabbitMQ 4 drops a message after 20 deliveries by default; nothing may drop one here, because a message
# that is gone counts as acknowledged. A program that requeues at once gets one some thousand times a second.
# The most that all versions take: 3.10 knows no -1.
_NO_LIMIT: Final = 2**31 - 1
# The most submissions of one organisation. The broker refuses further ones of that organisation only.
MOST_SUBMISSIONS: Final = 2_000
MOST_DEAD_LETTERS: Final = 1_000  # dead letters of all organisations together
_MOST_SUBMISSION_BYTES: Final = 256 * 1024 * 1024

MAILBOX_ARGUMENTS: Final[dict[str, Any]] = {
    "x-queue-type": "quorum",
    "x-max-length": CAPACITY,
    "x-overflow": "reject-publish",
    "x-delivery-limit": _NO_LIMIT,
}
SUBMISSIONS_ARGUMENTS: Final[dict[str, Any]] = {
    "x-queue-type": "quorum",
    "x-max-length": MOST_SUBMISSIONS,
    "x-max-length-bytes": _MOST_SUBMISSION_BYTES,
    "x-overflow": "reject-publish",
    "x-delivery-limit": _NO_LIMIT,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD_LETTERS,
    "x-dead-letter-strategy": "at-least-once",
}
# A submission that does not fit stays in the queue of its organisation and counts there. So a partner whose
# submissions expire cannot fill the broker's disk further than its own queue allows.
DEAD_LETTER_ARGUMENTS: Final[dict[str, Any]] = {
    "x-queue-type": "quorum",
    "x-max-length": MOST_DEAD_LETTERS,
    "x-max-length-bytes": _MOST_SUBMISSION_BYTES,
    "x-overflow": "reject-publish",
    "x-delivery-limit": _NO_LIMIT,
}


def declare_submissions(channel: Any, organization: str) -> None:
    """Declare the exchange and the queue of an organisation's submissions, and bind them. Repeatable.

    The exchange passes on every message, whatever its routing keys.
    """
    exchange, queue = exchange_of(organization), submissions_of(organization)
    channel.exchange_declare(exchange, "fanout", durable=True, auto_delete=False)
    channel.queue_declare(queue, durable=True, auto_delete=False, arguments=SUBMISSIONS_ARGUMENTS)
    channel.queue_bind(queue, exchange)
