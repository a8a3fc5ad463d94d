"""Client assertions: a JWT by which a client authenticates at the token endpoint instead of with a secret.

Source: RFC 7523 §3, RFC 7521 §4.2, RFC 7519 §4.1; OpenID Connect Core §9 (`private_key_jwt`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from contracts.errors import Refused
from services.directory.domain.clock_skew import clock_skew

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE: Final = dt.timedelta(minutes=5)
# How far a client's clock may differ from ours.
LEEWAY: Final = dt.timedelta(seconds=30)
_LONGEST_ID: Final = 200
_LATEST: Final = dt.datetime(9999, 12, 31, tzinfo=dt.UTC).timestamp()


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientAssertion:
    """The checked content of an assertion. id: its `jti`. until: the time from which it is refused."""

    client_id: str
    id: str
    until: dt.datetime


def check_assertion(
    claims: Mapping[str, Any], client_id: str, audiences: Collection[str], now: dt.datetime
) -> ClientAssertion:
    """Return the content of an assertion whose signature is verified.

    client_id: of the client whose key signed it. audiences: the issuer and the token endpoint's URL. Raises
    Refused `invalid-client`, and `clock-skew` when only the times are wrong.
    """
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise _invalid("`iss` and `sub` of the client assertion must both be the client id.")
    audience = claims.get("aud")
    if not _only_of(audience if isinstance(audience, list) else [audience], audiences):
        raise _invalid("`aud` of the client assertion must be the issuer or the URL of the token endpoint.")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_ID:
        raise _invalid(f"The client assertion needs a `jti` of at most {_LONGEST_ID} characters.")
    expires = _moment(claims, "exp")
    if expires is None:
        raise _invalid("The client assertion needs an `exp`.")
    issued = _moment(claims, "iat")
    _check_times(expires, issued, _moment(claims, "nbf"), now)
    return ClientAssertion(client_id=client_id, id=jti, until=expires + LEEWAY)


def _check_times(
    expires: dt.datetime, issued: dt.datetime | None, not_before: dt.datetime | None, now: dt.datetime
) -> None:
    if issued is not None and not dt.timedelta() < expires - issued <= LONGEST_LIFE:
        raise _invalid("`exp` of the client assertion must be at most five minutes after its `iat`.")
    for start in (issued, not_before):
        if start is not None and start > now + LEEWAY:
            raise clock_skew(start, now, status=401)
    # Without `iat` the client's clock is not known: an `exp` too far ahead may be either fault.
    if expires > now + LONGEST_LIFE + LEEWAY:
        raise _invalid(
            "`exp` of the client assertion is more than five minutes ahead of the hub's time, "
            f"{now.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}."
        )
    if expires <= now - LEEWAY:
        raise clock_skew(issued or expires, now, status=401)


def _only_of(audience: list[Any], audiences: Collection[str]) -> bool:
    """Return whether the list names this hub alone. Another server in it could use the assertion here."""
    return bool(audience) and all(isinstance(one, str) and one in audiences for one in audience)


def _moment(claims: Mapping[str, Any], name: str) -> dt.datetime | None:
    """Return a NumericDate; None if there is none. Raises Refused for anything else."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _invalid(f"`{name}` of the client assertion must be a number of seconds since 1970.")
    if not 0 <= value < _LATEST:
        raise _invalid(f"`{name}` of the client assertion must be in seconds since 1970.")
    return dt.datetime.fromtimestamp(value, dt.UTC)


def _invalid(detail: str) -> Refused:
    return Refused("invalid-client", detail)
