"""`ports.Witnesses` over HTTP."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from runtime.bounded_response import BoundedResponse, ResponseTooLarge
from runtime.timed_connection import timed_connection
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
            with timed_connection(endpoint, self._seconds) as (raw, expired):
                sock = _secured(raw, address.hostname) if secure else raw
                connection = http.client.HTTPConnection(*endpoint)
                connection.response_class = BoundedResponse
                connection.sock = sock
                try:
                    connection.request(
                        "POST",
                        f"{address.path}/add-checkpoint",
                        body=body,
                        headers={"Content-Type": "text/plain; charset=utf-8", "Connection": "close"},
                    )
                    response = connection.getresponse()
                    content = response.read(_MAX_RESPONSE_BYTES)
                finally:
                    connection.close()
                    sock.close()
                # A response without a length ends with the connection, which the deadline has cut.
                if expired.is_set():
                    raise TimeoutError
                return response.status, content
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


def _secured(raw: socket.socket, host: str) -> socket.socket:
    return ssl.create_default_context().wrap_socket(raw, server_hostname=host)
