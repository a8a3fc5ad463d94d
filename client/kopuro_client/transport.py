"""HTTP requests with time limits and retries. This module raises only `ClientError`s."""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

import httpx

from kopuro_client.content_coding import DamagedError, TooLargeError, UnknownCodingError, read_body
from kopuro_client.deadline import Deadline
from kopuro_client.errors import (
    ClientError,
    DefectError,
    InvalidArgumentError,
    TransportError,
    UnavailableError,
)
from kopuro_client.json_values import json_fault
from kopuro_client.responses import error_of
from kopuro_client.retrying import RetryPolicy
from kopuro_client.trace_context import trace_headers

CONNECT_LIMIT: Final = 5.0  # seconds to establish a connection
TOTAL_LIMIT: Final = 120.0  # seconds for a whole attempt, not counting a long poll's wait
ANSWER_LIMIT: Final = 15.0  # seconds without a byte of the response, not counting a long poll's wait
# Bytes of a response. A case with its documents, a bundle of ten thousand entries or a page of an export
# has a few dozen MB at most. The limit keeps an endless response from filling the client's memory.
LARGEST_ANSWER: Final = 128 * 1024 * 1024
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.%]*")  # a name, or an IPv6 address
# Printable ASCII, without a space at either end (RFC 9110 §5.5). Sent otherwise, the connection would fail.
_HEADER_VALUE: Final = re.compile(r"[!-~]([ -~\t]*[!-~])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRequest:
    """An HTTP request. repeatable: whether it is idempotent.

    prove: returns more headers for each attempt, because the hub accepts a proof once; compose: returns the
    content for each attempt, for the same reason. largest_answer: bytes of the response after decompression,
    if fewer than the transport's limit.
    """

    method: str
    url: str
    params: Mapping[str, str | int | None] = field(default_factory=dict)  # None: omitted
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    repeatable: bool = False
    wait: float = 0.0  # seconds that the hub was asked to hold its response
    prove: Callable[[], Mapping[str, str]] | None = field(default=None, repr=False)
    compose: Callable[[], bytes] | None = field(default=None, repr=False)
    largest_answer: int | None = None

    def having(self, **headers: str) -> Self:
        """Return the request with more headers. Underscores in a name become hyphens."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})


class _Pool:
    """Connections, and the number of attempts that wait for a response of one of them."""

    def __init__(self) -> None:
        self.users = 0
        self.http = httpx.Client(
            follow_redirects=False,  # bearer tokens go only to the URLs in the discovery document
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": "kopuro-client",
            },
        )


class Transport:
    """Sends requests over pooled connections. Threads may share one.

    answer_limit: seconds without a byte of the response. total_limit: seconds for one attempt, from name
    resolution to the last byte. Exceeding either raises TransportError. largest_answer: bytes after
    decompression; a larger response raises DefectError. sleep, clock (seconds, monotonic): replaceable by
    tests. notice: called with a sentence when the hub stops responding and requests are being retried, and
    when it responds again; once per change, however many requests and retries there are.
    """

    def __init__(
        self,
        *,
        retry: RetryPolicy | None = None,
        answer_limit: float = ANSWER_LIMIT,
        total_limit: float = TOTAL_LIMIT,
        largest_answer: int = LARGEST_ANSWER,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self._retry = retry or RetryPolicy()
        self._answer_limit = answer_limit
        self._total_limit = total_limit
        self._deadline = Deadline()
        self._largest_answer = largest_answer
        self.sleep = sleep
        self.clock = clock
        self._notice = notice
        self._away: dict[str, float] = {}  # host -> time since which it does not respond
        self._away_lock = threading.Lock()
        self._pool = _Pool()
        self._pool_lock = threading.Lock()
        self._is_closed = False
        self._lost = threading.local()  # seconds: float

    def lost(self) -> float:
        """Return how many seconds of this thread failed attempts and the waits after them have taken."""
        return getattr(self._lost, "seconds", 0.0)

    def close(self) -> None:
        with self._pool_lock:
            self._is_closed = True
        self._pool.http.close()

    def send(self, request: HttpRequest) -> bytes:
        """Send a request and return the body of a successful response.

        Retries a repeatable request on UnavailableError and TransportError, as the RetryPolicy allows.
        Raises any ClientError except SealingError and TlogError.
        """
        _check_address(request.url)
        # Here, because an attempt may run in a thread of its own.
        request = replace(request, headers={**trace_headers(), **request.headers})
        started = self.clock()
        attempt = 1
        while True:
            attempted_at = self.clock()
            try:
                body = self._in_time(request)
                self._answered(request)
                return body
            except (UnavailableError, TransportError) as error:
                if not request.repeatable:
                    raise
                delay = self._retry.delay(
                    attempt=attempt,
                    elapsed=self.clock() - started,
                    retry_after=getattr(error, "retry_after", None),
                )
                if delay is None:
                    raise
                self._unanswered(request, error)
            except ClientError:
                self._answered(request)
                raise
            self.sleep(delay)
            self._lost.seconds = self.lost() + self.clock() - attempted_at
            attempt += 1

    def _in_time(self, request: HttpRequest) -> bytes:
        with self._pool_lock:
            pool = self._pool
            pool.users += 1
        try:
            return self._deadline.run(
                lambda: self._attempt(pool.http, request), seconds=self._total_limit + request.wait
            )
        except TimeoutError as error:
            self._retire(pool)
            raise TransportError(f"no complete response in time from {_place(request.url)}") from error
        finally:
            self._leave(pool)

    def _retire(self, pool: _Pool) -> None:
        """Use other connections from now on: an attempt runs on, for as long as the hub sends something.

        It ends when its connection is closed, which waits for the attempts of other threads.
        """
        with self._pool_lock:
            if self._pool is pool and not self._is_closed:
                self._pool = _Pool()

    def _leave(self, pool: _Pool) -> None:
        with self._pool_lock:
            pool.users -= 1
            is_over = pool.users == 0 and self._pool is not pool
        if is_over:
            pool.http.close()

    def _unanswered(self, request: HttpRequest, error: ClientError) -> None:
        place = _place(request.url)
        with self._away_lock:
            known = place in self._away
            self._away.setdefault(place, self.clock())
        if not known and self._notice is not None:
            self._notice(f"{error}; retrying until it responds")

    def _answered(self, request: HttpRequest) -> None:
        if not self._away:
            return
        place = _place(request.url)
        with self._away_lock:
            since = self._away.pop(place, None)
        if since is not None and self._notice is not None:
            self._notice(f"{place} responds again after {self.clock() - since:.0f} seconds")

    def _attempt(self, http: httpx.Client, request: HttpRequest) -> bytes:
        if request.prove is not None:
            request = replace(request, headers={**request.headers, **request.prove()})
        if request.compose is not None:
            request = replace(request, content=request.compose())
        for name, value in request.headers.items():
            if not _HEADER_VALUE.fullmatch(value):
                raise InvalidArgumentError(
                    f"the value of the header {name} contains characters that HTTP does not allow there"
                )
        try:
            with http.stream(
                request.method,
                request.url,
                params={name: value for name, value in request.params.items() if value is not None},
                headers=dict(request.headers),
                content=request.content,
                timeout=httpx.Timeout(self._answer_limit + request.wait, connect=CONNECT_LIMIT),
            ) as response:
                body = self._body(response, request.largest_answer or self._largest_answer)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise InvalidArgumentError(f"{request.url!r} is not an http or https URL") from error
        except UnicodeEncodeError as error:
            raise InvalidArgumentError("the URL contains characters that HTTP does not allow") from error
        except httpx.TimeoutException as error:
            raise TransportError(f"no response in time from {_place(request.url)}") from error
        except httpx.ConnectError as error:
            raise TransportError(f"cannot connect to {_place(request.url)}") from error
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: the client was closed
            raise TransportError(f"the connection to {_place(request.url)} failed") from error
        error_or_none: ClientError | None = error_of(
            status=response.status_code,
            reason=response.reason_phrase,
            body=body,
            retry_after=response.headers.get("Retry-After"),
            now=dt.datetime.now(dt.UTC),
        )
        if error_or_none is not None:
            raise error_or_none
        return body

    def _body(self, response: httpx.Response, largest: int) -> bytes:
        """Return the whole decompressed body, of at most `largest` bytes.

        Raises DefectError if it exceeds the limit, or for a content coding other than one gzip;
        TransportError for a damaged one.
        """
        place = _place(str(response.request.url))
        try:
            return read_body(response.iter_raw(), response.headers.get("Content-Encoding"), largest)
        except TooLargeError as error:
            raise DefectError(
                f"the response from {place} has more than {largest:,} bytes, the limit for this response"
            ) from error
        except UnknownCodingError as error:
            raise DefectError(
                f"the response from {place} has a content coding that was not asked for"
            ) from error
        except DamagedError as error:
            raise TransportError(f"the response from {place} is damaged") from error


def json_body(value: object) -> bytes:
    """Return the value as one line of JSON in UTF-8.

    Raises InvalidArgumentError, which names the place of the first value that has no JSON form.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError) as error:
        fault = json_fault(value) or "is nested too deep"
        raise InvalidArgumentError(f"the request body cannot be written as JSON: it {fault}") from error


def _check_address(url: str) -> None:
    """Raises InvalidArgumentError for an address that no request can be sent to."""
    try:
        parsed = httpx.URL(url)
        host, port = parsed.raw_host.decode(), parsed.port
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidArgumentError(f"{url!r} is not a valid URL") from error
    usable = _HOST.fullmatch(host) and (port is None or 0 < port < 65_536)
    if parsed.scheme not in ("http", "https") or not usable:
        raise InvalidArgumentError(f"{url!r} is not an http or https URL of a host")


def _place(url: str) -> str:
    """Return the host and port for error messages, which must not contain a referral's id."""
    parsed = httpx.URL(url)
    return f"{parsed.host}:{parsed.port}" if parsed.port else parsed.host
