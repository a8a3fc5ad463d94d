"""One HTTP request, with time limits and repetitions. Only `ClientError`s leave this module."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

import httpx

from kopuro_client.answers import error_of
from kopuro_client.deadline import Deadline
from kopuro_client.errors import (
    ClientError,
    DefectError,
    InvalidArgumentError,
    TransportError,
    UnavailableError,
)
from kopuro_client.retrying import RetryPolicy

CONNECT_LIMIT: Final = 5.0  # seconds until a connection stands
TOTAL_LIMIT: Final = 120.0  # seconds for a whole attempt, a long poll's own wait apart
ANSWER_LIMIT: Final = 15.0  # seconds of silence while an answer is awaited, a long poll's own wait apart
# Bytes of an answer. A case with its documents, a bundle of ten thousand entries or a page of an export
# has a few dozen MB at most; a hub that sends without end must not fill the memory of whoever asks.
LARGEST_ANSWER: Final = 128 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRequest:
    """What to ask. repeatable: whether asking twice does no more than asking once."""

    method: str
    url: str
    params: Mapping[str, str | int | None] = field(default_factory=dict)  # None: left out
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    repeatable: bool = False
    wait: float = 0.0  # seconds the hub was asked to hold its answer

    def having(self, **headers: str) -> Self:
        """The same request with more headers; underscores in a name stand for hyphens."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})


class Transport:
    """Sends requests over pooled connections. Threads may share one.

    sleep and clock (seconds, monotonic) are the passing of time, for whoever wants to pass it
    otherwise. largest_answer: bytes, after decompression; more are a DefectError. total_limit: seconds
    for one attempt, from looking up the name to the last byte; longer is a TransportError. notice: told in a
    sentence when a request is repeated because the hub does not answer, and when it answers again: once for
    each change, however many requests and repetitions there are.
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
        self._sleep = sleep
        self.clock = clock
        self._notice = notice
        self._away: dict[str, float] = {}  # place -> since when it does not answer
        self._away_lock = threading.Lock()
        self._http = httpx.Client(
            follow_redirects=False,  # a bearer token goes where discovery says, and nowhere else
            headers={"Accept": "application/json", "User-Agent": "kopuro-client"},
        )

    def close(self) -> None:
        self._http.close()

    def send(self, request: HttpRequest) -> bytes:
        """The body of a successful answer.

        A repeatable request is sent again on UnavailableError and TransportError, as RetryPolicy
        allows. Raises RefusedError, AuthenticationError, UnavailableError, TransportError,
        DefectError.
        """
        started = self.clock()
        attempt = 1
        while True:
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
            self._sleep(delay)
            attempt += 1

    def _in_time(self, request: HttpRequest) -> bytes:
        try:
            return self._deadline.run(
                lambda: self._attempt(request), seconds=self._total_limit + request.wait
            )
        except TimeoutError as error:
            raise TransportError(f"no whole answer in time from {_place(request.url)}") from error

    def _unanswered(self, request: HttpRequest, error: ClientError) -> None:
        place = _place(request.url)
        with self._away_lock:
            known = place in self._away
            self._away.setdefault(place, self.clock())
        if not known and self._notice is not None:
            self._notice(f"{error}; trying again until it answers")

    def _answered(self, request: HttpRequest) -> None:
        if not self._away:
            return
        place = _place(request.url)
        with self._away_lock:
            since = self._away.pop(place, None)
        if since is not None and self._notice is not None:
            self._notice(f"{place} answers again after {self.clock() - since:.0f} seconds")

    def _attempt(self, request: HttpRequest) -> bytes:
        try:
            with self._http.stream(
                request.method,
                request.url,
                params={name: value for name, value in request.params.items() if value is not None},
                headers=dict(request.headers),
                content=request.content,
                timeout=httpx.Timeout(self._answer_limit + request.wait, connect=CONNECT_LIMIT),
            ) as answer:
                body = self._body(answer)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise InvalidArgumentError(f"{request.url!r} is not an http or https address") from error
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(
                "a header or an address holds characters that HTTP does not carry"
            ) from error
        except httpx.TimeoutException as error:
            raise TransportError(f"no answer in time from {_place(request.url)}") from error
        except httpx.ConnectError as error:
            raise TransportError(f"cannot connect to {_place(request.url)}") from error
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: the client was closed
            raise TransportError(f"the connection to {_place(request.url)} failed") from error
        error_or_none: ClientError | None = error_of(
            status=answer.status_code,
            reason=answer.reason_phrase,
            body=body,
            retry_after=answer.headers.get("Retry-After"),
            now=dt.datetime.now(dt.UTC),
        )
        if error_or_none is not None:
            raise error_or_none
        return body

    def _body(self, answer: httpx.Response) -> bytes:
        """All of it, decompressed; the connection is dropped where it is more than an answer may have."""
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > self._largest_answer:
                place = _place(str(answer.request.url))
                raise DefectError(
                    f"the answer of {place} has more than {self._largest_answer:,} bytes, "
                    "which no answer of a hub should have"
                )
        return bytes(body)


def json_body(value: object) -> bytes:
    """The value as one line of JSON in UTF-8.

    Raises InvalidArgumentError where JSON cannot say it.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidArgumentError("what is to be sent cannot be written as JSON") from error


def _place(url: str) -> str:
    """Host and port: enough to find the fault, and no identifier of a referral."""
    parsed = httpx.URL(url)
    return f"{parsed.host}:{parsed.port}" if parsed.port else parsed.host
