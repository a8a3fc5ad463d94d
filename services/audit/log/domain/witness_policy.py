"""The witness policy: k of n witnesses must cosign a checkpoint."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from services.audit.log.domain.cosignature import CosignatureVerifier
from services.audit.log.domain.note import MalformedKey

STALE_AFTER: Final = dt.timedelta(hours=1)


class PolicyError(ValueError):
    """The document is not a witness policy. The text names the invalid part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """A witness. name: that of its key; url: the submission prefix without a trailing slash."""

    name: str
    verifier: CosignatureVerifier
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WitnessPolicy:
    """A witness policy. threshold: the number of required cosignatures, from 0 to all."""

    witnesses: tuple[Witness, ...] = ()
    threshold: int = 0

    def counts(self, cosigners: Iterable[str]) -> bool:
        """Return whether these cosigners satisfy the policy. A threshold of 0 still requires one of them."""
        known = {witness.name for witness in self.witnesses}
        return len(known.intersection(cosigners)) >= max(self.threshold, 1)

    @classmethod
    def read(cls, document: Any) -> WitnessPolicy:
        """Parse `{"witnesses": [{"name", "vkey", "url"}], "threshold": k}`. Raises PolicyError."""
        if not isinstance(document, dict) or not document.keys() <= {"witnesses", "threshold"}:
            raise PolicyError("a witness policy must be an object with `witnesses` and `threshold`")
        records = document.get("witnesses")
        if not isinstance(records, list):
            raise PolicyError("`witnesses` must be a list")
        witnesses = tuple(_witness(record, f"/witnesses/{at}") for at, record in enumerate(records))
        if len({witness.name for witness in witnesses}) != len(witnesses):
            raise PolicyError("two witnesses have the same name")
        if len({witness.verifier.public_key for witness in witnesses}) != len(witnesses):
            raise PolicyError("two witnesses have the same key")
        threshold = document.get("threshold")
        if type(threshold) is not int or not 0 <= threshold <= len(witnesses):
            raise PolicyError(
                f"`threshold` must be an integer from 0 to {len(witnesses)}, the number of witnesses"
            )
        return cls(witnesses=witnesses, threshold=threshold)


def _witness(record: Any, where: str) -> Witness:
    if not isinstance(record, dict) or not all(
        isinstance(record.get(name), str) for name in ("name", "vkey", "url")
    ):
        raise PolicyError(f"{where} needs `name`, `vkey` and `url`")
    try:
        verifier = CosignatureVerifier.parse(record["vkey"])
    except MalformedKey as error:
        raise PolicyError(f"{where}/vkey: {error}") from None
    if verifier.name != record["name"]:
        raise PolicyError(f"{where}/name differs from the name in its vkey")
    url = urlsplit(record["url"])
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment or url.username:
        raise PolicyError(f"{where}/url is not an http or https address")
    return Witness(name=record["name"], verifier=verifier, url=record["url"].rstrip("/"))
