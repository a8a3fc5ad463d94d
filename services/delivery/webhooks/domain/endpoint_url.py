"""The URL of a webhook endpoint, in one canonical form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_LONGEST: Final = 1000
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
# RFC 1123. The last label is not a number: resolvers read `127.1`, `0x7f.1` and `2130706433` as addresses.
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*(?!0x)[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_PORTS: Final = {"https": 443, "http": 80}


class InvalidUrlError(ValueError):
    """The URL cannot be used; the text says why and does not repeat it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointUrl:
    """scheme: `https` or `http`; host: a lower-case name or an address; target: path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def of(cls, text: str, *, is_local: bool = False) -> EndpointUrl:
        """Parse a URL. is_local: also takes `http`, addresses and single names, as in a sandbox; whether the
        hub sends to an address is decided by `addresses.address_refusal`.

        Raises InvalidUrlError.
        """
        if len(text) > _LONGEST or _PRINTABLE.fullmatch(text) is None or "\\" in text:
            raise InvalidUrlError(f"Must be a URL of at most {_LONGEST} printable ASCII characters.")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise InvalidUrlError("Must be a URL.") from None
        if parts.scheme not in (_PORTS if is_local else ("https",)):
            raise InvalidUrlError("Must begin with `https://`.")
        if "@" in parts.netloc or "#" in text:
            raise InvalidUrlError("Must not have a user, a password or a fragment.")
        host = (parts.hostname or "").lower()
        if not (_is_name(host) and (is_local or "." in host)) and not (is_local and _is_address(host)):
            address = ", or by an address in its usual form" if is_local else ""
            raise InvalidUrlError(f"Must name a host by its domain name{address}.")
        target = parts.path or "/"
        url = cls(
            scheme=parts.scheme,
            host=host,
            port=_PORTS[parts.scheme] if port is None else port,
            target=f"{target}?{parts.query}" if parts.query else target,
        )
        # The canonical text is stored and parsed again; it may be longer by the path that was left out.
        if len(url.text) > _LONGEST:
            raise InvalidUrlError(f"Must be a URL of at most {_LONGEST} characters with its path.")
        return url

    @property
    def address(self) -> str | None:
        """Return the address that the URL has in the place of a name; None for a name."""
        return self.host if _is_address(self.host) else None

    @property
    def authority(self) -> str:
        """Return the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """Return the whole URL."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def shown(self) -> str:
        """Return the URL without its query, which may contain a secret."""
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"


def _is_name(host: str) -> bool:
    return _NAME.fullmatch(host) is not None


def _is_address(host: str) -> bool:
    try:
        return str(ip_address(host)) == host
    except ValueError:
        return False
