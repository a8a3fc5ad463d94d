"""HTTP clients of organisations and staff for tests."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self, TypeVar

import httpx

from contracts.facts import ClientChanged
from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal

# A long poll takes up to 30 s.
TIMEOUT_SECONDS = 40.0

T = TypeVar("T")


class Partner:
    """The system of an organisation, or a member of the staff.

    door: gives the address of a service's public port, by the service's name. token: gives a bearer token.
    Both are asked at each request. timeout: seconds that an answer may take.
    """

    def __init__(
        self, door: Callable[[str], str], token: Callable[[], str], *, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._door = door
        self._token = token
        self._http = httpx.Client(timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ask(
        self,
        method: str,
        service: str,
        path: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Send one request and return the answer, whatever its status. Raises httpx.TransportError.

        key: the Idempotency-Key. more: arguments of `httpx.Client.request`.
        """
        sent = {"Authorization": f"Bearer {self._token()}", **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key
        return self._http.request(method, self._door(service) + path, headers=sent, **more)

    def submit(self, body: Any, *, key: str | None = None) -> httpx.Response:
        """Submit a referral."""
        return self.ask("POST", "intake", "/v1/referrals", key=key, json=body)

    def mailbox(self, **query: Any) -> dict[str, Any]:
        """Read a page of the mailbox: "items" and "next"."""
        answer = self.ask("GET", "delivery", "/v1/mailbox", params=query)
        page: dict[str, Any] = answer.raise_for_status().json()
        return page

    def acknowledge(self, message_id: str) -> int:
        """Acknowledge a message of the mailbox; returns the status of the answer."""
        return self.ask("POST", "delivery", f"/v1/mailbox/{message_id}/acknowledge").status_code

    def case(self, referral_id: str) -> httpx.Response:
        """Fetch the case of a referral that was released to this partner."""
        return self.ask("GET", "delivery", f"/v1/case/{referral_id}")


class GivenUp(Exception):
    """The hub did not answer a patient partner in time."""


class PatientPartner(Partner):
    """A partner that repeats a request until the hub answers it, despite kills and expired tokens.

    who: the partner's id. patience: seconds after which it gives up. stop: when set, it gives up at once.
    """

    def __init__(
        self,
        door: Callable[[str], str],
        token: Callable[[], str],
        *,
        who: str,
        patience: float,
        stop: threading.Event | None = None,
    ) -> None:
        super().__init__(door, self._kept_token, timeout=20)
        self._who, self._patience = who, patience
        self._stop = stop or threading.Event()
        self._new_token = token
        self._held = ""

    def ask(self, method: str, service: str, path: str, **more: Any) -> httpx.Response:
        """Return the first response that is not a failure of hub or connection. Raises GivenUp."""
        deadline = time.monotonic() + self._patience
        while True:
            # No connection, or no token: the process has been killed, or is not ready yet.
            with suppress(httpx.TransportError, AssertionError):
                answer = super().ask(method, service, path, **more)
                if answer.status_code == 401:
                    self._held = ""
                elif answer.status_code < 500:
                    return answer
            if time.monotonic() > deadline or self._stop.is_set():
                raise GivenUp(f"{method} {path} of {self._who}")
            time.sleep(0.1)

    def _kept_token(self) -> str:
        self._held = self._held or self._new_token()
        return self._held


def answered(ask: Callable[[], T]) -> T | None:
    """Return the result of `ask`; None if there is no response, as from a killed process."""
    with suppress(httpx.TransportError):
        return ask()
    return None


def signed_token(signer: TokenSigner, who: str, *, role: str = "partner", age: float = 0) -> str:
    """Return a token as the directory would have issued it `age` seconds ago."""
    issued = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age)
    principal = Principal(id=who, roles=frozenset({role}), client_id=client_id_of(who, role))
    return signer.issue(principal, now=issued)


def client_id_of(who: str, role: str) -> str:
    """Return the id of the client that `signed_token` names."""
    return f"{who}-{role}"


def registered(who: str, role: str = "partner") -> ClientChanged:
    """Return the directory's fact about the client that `signed_token` names."""
    return ClientChanged(
        revision=1, client_id=client_id_of(who, role), principal=who, roles=(role,), live=True
    )


def ask_for_token(directory: str, client_id: str, secret: str) -> httpx.Response:
    """Request a token from the directory at an address; return the response, whatever its status."""
    return httpx.post(
        f"{directory}/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(client_id, secret),
        timeout=30,
    )
