"""`ports.Witnesses` over HTTP."""

from __future__ import annotations

import http.client
import ssl
from typing import Final
from urllib.parse import urlsplit

from runtime.bounded_response import BoundedResponse, ResponseTooLarge
from runtime.timed_connection import timed_exchange
from services.audit.log.ports import WitnessUnreachable

# The deadline of a request, from connecting to the last byte of the response.
SECONDS: Final = 3.0
_MAX_RESPONSE_BYTES: Final = 64 * 1024


class HttpWitnesses:
    """Opens a connection per request, at most one a second. seconds: the deadline."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds

    def add_checkpoint(self, url: str, body: bytes) -> tuple[int, bytes]:
        """See `ports.Witnesses`."""
        address = urlsplit(url)
        assert address.hostname is not None
        secure = address.scheme == "https"
        endpoint = (address.hostname, address.port or (443 if secure else 80))
        try:
            return timed_exchange(
                endpoint,
                self._seconds,
                "POST",
                f"{address.path}/add-checkpoint",
                body=body,
                headers={"Content-Type": "text/plain; charset=utf-8", "Connection": "close"},
                context=ssl.create_default_context() if secure else None,
                most=_MAX_RESPONSE_BYTES,
            )
        except ResponseTooLarge as error:
            raise WitnessUnreachable(
                f"The witness at {address.hostname} sent more than {BoundedResponse.most // 1024} KiB."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise WitnessUnreachable(
                f"The witness at {address.hostname} did not answer within {self._seconds:.0f} s."
                if isinstance(error, TimeoutError)
                else f"The witness at {address.hostname} does not answer."
            ) from error
