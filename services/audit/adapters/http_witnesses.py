"""Asks witnesses over HTTP: see `ports.Witnesses`."""

from __future__ import annotations

import http.client
from typing import Final
from urllib.parse import urlsplit

from services.audit.ports import WitnessUnreachable

# A process that stops waits for the round under way.
SECONDS: Final = 3.0
_LONGEST_ANSWER: Final = 64 * 1024


class HttpWitnesses:
    """A connection a question: one a second at most is asked."""

    def add_checkpoint(self, url: str, body: bytes) -> tuple[int, bytes]:
        """See `ports.Witnesses`."""
        address = urlsplit(url)
        assert address.hostname is not None
        secure = address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(address.hostname, address.port, timeout=SECONDS)
        try:
            connection.request(
                "POST",
                f"{address.path}/add-checkpoint",
                body=body,
                headers={"Content-Type": "text/plain; charset=utf-8"},
            )
            answer = connection.getresponse()
            return answer.status, answer.read(_LONGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise WitnessUnreachable(f"The witness at {address.hostname} does not answer.") from error
        finally:
            connection.close()
