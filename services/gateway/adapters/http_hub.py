"""The hub over HTTP, as each organisation's client `<id>.amqp`, which authenticates with the gateway's key.

Source: RFC 7523 §2.2 (`private_key_jwt`), RFC 6749 §4.4.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from contracts.errors import PROBLEM_PREFIX, Defect, RateLimited, Unavailable
from contracts.facts import MessageClosed
from kopuro_client.client_key import ClientKey
from kopuro_client.content_coding import DamagedError, TooLargeError, UnknownCodingError, read_body
from kopuro_client.request_proof import HEADER as PROOF
from kopuro_client.request_proof import RequestSigner
from runtime.bounded_connections import BoundedTransport, within
from services.gateway.domain.partner import client_of
from services.gateway.ports import MailboxMessage, MessagePage, NotAdmitted, Result, SubmissionAnswer

# It logs every request, with a level that is meant for operators.
logging.getLogger("httpx").setLevel(logging.WARNING)

ANSWER_SECONDS: Final = 15.0
CONNECT_SECONDS: Final = 5.0
# Counted from connecting to the last byte, without the time for which the hub was asked to wait.
TOTAL_SECONDS: Final = 60.0
# A page of a mailbox has 4 MiB and a message.
MOST_BYTES: Final = 16 * 1024 * 1024
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 60
# Whether a service or a proxy sent them.
_TOO_MANY_STATEMENTS: Final = f"{PROBLEM_PREFIX}too-many-statements"
_TRANSIENT: Final = frozenset({408, 425, 429, 502, 503, 504})
# The problems with which the token endpoint refuses the organisation. Any other one is about the gateway,
# such as `clock-skew`: then submissions wait, and nobody loses access.
_NO_CLIENT: Final = frozenset({f"{PROBLEM_PREFIX}invalid-client", f"{PROBLEM_PREFIX}unauthorized-client"})
# A token is renewed so long before its end.
_MARGIN: Final = 60.0
# Between two attempts at what is beyond an organisation's rate, where the hub gives no time.
_PACE_SECONDS: Final = 10
_LARGEST_PAGE: Final = 200
# Pages of a mailbox in which closed messages are looked for.
_MOST_PAGES: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class _Response:
    status_code: int
    headers: httpx.Headers
    content: bytes


def _connections() -> httpx.Client:
    return httpx.Client(transport=BoundedTransport(MOST_BYTES), headers={"Accept-Encoding": "gzip"})


@dataclass(slots=True)
class _Caller:
    """The connections and the token of one organisation. No long poll of another one can use them up."""

    http: httpx.Client
    token: str = field(default="", repr=False)
    renew_at: float = 0.0
    asks_for_password: bool = False  # true from a new token until the hub is asked


class HttpHub:
    """See `ports.Hub`. Safe for concurrent greenlets."""

    def __init__(
        self,
        discovery: Path,
        key: ClientKey,
        *,
        wall_clock: Callable[[], float] = time.time,
        connections: Callable[[], httpx.Client] = _connections,
    ) -> None:
        """discovery: the file of the discovery document, read for each request. key: the gateway's.

        wall_clock: seconds since 1970. connections: makes the connections of one organisation.
        """
        self._connections = connections
        self._discovery = discovery
        self._key = key
        self._now = wall_clock
        self._callers: dict[str, _Caller] = {}

    def close(self) -> None:
        """Close all connections."""
        for caller in self._callers.values():
            caller.http.close()
        self._callers.clear()

    def require_admitted(self, organization: str) -> None:
        """See `ports.Hub`."""
        self._ask(organization, "GET", "delivery", "/v1/mailbox/consumers")

    def new_password(self, organization: str) -> str | None:
        """See `ports.Hub`."""
        caller = self._callers.get(organization)
        if caller is None or not caller.asks_for_password:
            return None
        # Before the request: it may get another token, after which the hub is asked again.
        caller.asks_for_password = False
        try:
            found = orjson.loads(self._ask(organization, "GET", "directory", "/v1/amqp-password"))
        except BaseException:
            caller.asks_for_password = True
            raise
        password_hash: str | None = found.get("password_hash")
        return password_hash

    def password_applied(self, organization: str, password_hash: str) -> None:
        """See `ports.Hub`."""
        body = orjson.dumps({"password_hash": password_hash})
        self._ask(organization, "POST", "directory", "/v1/amqp-password/applied", body=body, proved=True)

    def page(self, organization: str, *, after: str | None, limit: int, wait: float) -> MessagePage:
        """See `ports.Hub`."""
        params = {"limit": str(min(limit, _LARGEST_PAGE)), "wait": str(int(wait))}
        if after is not None:
            params["after"] = after
        document = orjson.loads(
            self._ask(organization, "GET", "delivery", "/v1/mailbox", params=params, wait=wait)
        )
        return MessagePage(messages=tuple(map(_message, document["items"])), cursor=document["resume"])

    def closed(self, organization: str, *, among: Sequence[str]) -> frozenset[str]:
        """See `ports.Hub`."""
        wanted, found, after = set(among), set(), None
        for _ in range(_MOST_PAGES):
            page = self.page(organization, after=after, limit=_LARGEST_PAGE, wait=0)
            found |= {one.id for one in page.messages if one.is_closed and one.id in wanted}
            if not any(one.id in wanted for one in page.messages):
                break
            after = page.cursor
        return frozenset(found)

    def acknowledge(self, organization: str, message_ids: Sequence[str]) -> None:
        """See `ports.Hub`."""
        for start in range(0, len(message_ids), 1000):
            body = orjson.dumps({"ids": message_ids[start : start + 1000]})
            self._ask(organization, "POST", "delivery", "/v1/mailbox:acknowledge", body=body)

    def submit(self, organization: str, lines: Sequence[bytes], *, referrals: bool) -> list[Result]:
        """See `ports.Hub`."""
        path = "/v1/referrals:batch" if referrals else "/v1/submissions:batch"
        body = b"".join(line + b"\n" for line in lines)
        found = self._ask(organization, "POST", "intake", path, body=body, media="application/x-ndjson")
        results = [_result(orjson.loads(line)) for line in found.splitlines() if line.strip()]
        if len(results) != len(lines):
            raise Unavailable("The hub returned a different number of results than it got submissions.")
        return results

    def answer(self, organization: str, answers: Sequence[SubmissionAnswer]) -> None:
        """See `ports.Hub`."""
        for start in range(0, len(answers), 200):
            body = orjson.dumps({"answers": [_plain(one) for one in answers[start : start + 200]]})
            self._ask(organization, "POST", "delivery", "/v1/mailbox:answer", body=body)

    def _ask(
        self,
        organization: str,
        method: str,
        service: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        media: str = "application/json",
        wait: float = 0.0,
        proved: bool = False,
    ) -> bytes:
        """proved: sign the request with the gateway's key, as changes of the directory require."""
        caller = self._callers.get(organization)
        if caller is None:
            caller = self._callers.setdefault(organization, _Caller(http=self._connections()))
        url = self._address(service) + path
        for attempt in ("with the token that is known", "with a new token"):
            token = self._token(organization, caller)
            headers = {"Authorization": f"Bearer {token}", "Content-Type": media}
            if proved:
                signer = RequestSigner(self._address(service), "", self._key)
                headers[PROOF] = signer.proof(method, url, token=token, body=body or b"")
            response = _sent(
                caller.http, method, url, params=params, content=body, headers=headers, wait=wait
            )
            if response.status_code != 401 or attempt == "with a new token":
                break
            if caller.token == token:
                caller.token = ""
        if response.status_code == 401:
            # The directory has just issued the token, so it admits the client. The service may lack the token
            # key, or its clock may differ.
            caller.token = ""
            raise Unavailable(f"{service} refuses a token that the directory has just issued.")
        if response.status_code == 403 and _problem(response).startswith(PROBLEM_PREFIX):
            raise NotAdmitted
        if response.status_code == 429 and _problem(response).startswith(PROBLEM_PREFIX):
            seconds = response.headers.get("Retry-After", "")
            detail = f"The organisation has used up its rate at {service}."
            raise RateLimited(detail, retry_after=int(seconds) if seconds.isdigit() else _PACE_SECONDS)
        if response.status_code in _TRANSIENT or response.status_code == 403:  # 403: from a proxy
            raise Unavailable(f"{service} answers {path} with status {response.status_code}.")
        if response.status_code >= 300:
            raise Defect(f"{service} answers {path} with status {response.status_code}.")
        return response.content

    def _token(self, organization: str, caller: _Caller) -> str:
        if caller.token and self._now() < caller.renew_at:
            return caller.token
        url = f"{self._address('directory')}/oauth/token"
        client_id, now = client_of(organization), int(self._now())
        assertion = {
            "iss": client_id,
            "sub": client_id,
            "aud": url,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self._key.signed(assertion, typ="JWT"),
        }
        response = _sent(caller.http, "POST", url, data=form)
        if (problem := _problem(response)) in _NO_CLIENT:
            raise NotAdmitted
        if response.status_code != 200:  # 500 too: nothing is lost by asking again
            reason = problem or f"status {response.status_code}"
            raise Unavailable(f"The token endpoint answers the gateway with {reason}.")
        granted = orjson.loads(response.content)
        caller.token, lifetime = granted["access_token"], float(granted["expires_in"])
        caller.renew_at = now + lifetime - min(_MARGIN, lifetime / 10)
        caller.asks_for_password = True
        return caller.token

    def _address(self, service: str) -> str:
        try:
            return str(json.loads(self._discovery.read_text(encoding="utf-8"))["services"][service]).rstrip(
                "/"
            )
        except (OSError, ValueError, KeyError) as error:
            raise Unavailable(f"The discovery document does not name {service}.") from error


def _sent(http: httpx.Client, method: str, url: str, *, wait: float = 0.0, **content: Any) -> _Response:
    timeout = httpx.Timeout(ANSWER_SECONDS + wait, connect=CONNECT_SECONDS)
    try:
        with (
            within(TOTAL_SECONDS + wait),
            http.stream(method, url, timeout=timeout, **content) as response,
        ):
            body = read_body(response.iter_raw(), response.headers.get("Content-Encoding"), MOST_BYTES)
    except (httpx.HTTPError, TimeoutError, TooLargeError, UnknownCodingError, DamagedError) as error:
        # No URL in the text: it may name a referral.
        raise Unavailable(f"The hub does not answer ({type(error).__name__}).") from error
    return _Response(status_code=response.status_code, headers=response.headers, content=body)


def _problem(response: _Response) -> str:
    """Return the type of the problem with which the hub refuses; empty for any other answer."""
    if response.status_code < 400:
        return ""
    try:
        kind = orjson.loads(response.content)["type"]
    except (ValueError, KeyError, TypeError):
        return ""  # the response of a proxy
    return kind if isinstance(kind, str) else ""


def _message(item: Mapping[str, Any]) -> MailboxMessage:
    return MailboxMessage(
        id=item["id"],
        type=item["type"],
        body=orjson.dumps(item),
        is_closed=item["type"] == MessageClosed.type,
    )


def _result(line: Mapping[str, Any]) -> Result:
    if line["status"] == 202:
        return Result(submission_id=line["id"])
    # The bound of one referral must not hold up the organisation's submissions about others.
    if line["status"] == 429 and line["problem"].get("type") != _TOO_MANY_STATEMENTS:
        return Result(is_unavailable=True, retry_after=line["problem"].get("retry_after", _PACE_SECONDS))
    if line["status"] == 503:
        return Result(is_unavailable=True)
    return Result(problem=line["problem"])


def _plain(answer: SubmissionAnswer) -> dict[str, Any]:
    return {
        "message_id": answer.message_id,
        "body": answer.body,
        "submission_id": answer.submission_id,
        "problem": answer.problem,
    }
