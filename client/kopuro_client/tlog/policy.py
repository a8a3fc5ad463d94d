"""Trust policies: the trusted logs, and the quorum of witnesses that a checkpoint needs.

Two formats are supported. The text of https://c2sp.org/tlog-policy:

    log      <verifier key> [<url>]
    witness  <name> <verifier key> [<url>]
    group    <name> all|any|<k> <name>...
    quorum   <name>|none

and the JSON that a hub is configured with, k of n witnesses:

    {"witnesses": [{"name", "vkey", "url"}, ...], "threshold": k}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from kopuro_client.tlog.checkpoint import Checkpoint
from kopuro_client.tlog.errors import MalformedError, UntrustedError
from kopuro_client.tlog.keys import Algorithm, VerifierKey
from kopuro_client.tlog.note import Signed, SignedNote

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,3}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """A witness in a policy. name: its name in the policy; url: its submission prefix, if given."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Quorum:
    """At least `needed` of the members, which are the policy's names of witnesses and groups."""

    needed: int = 0
    members: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedCheckpoint:
    """A checkpoint that a policy accepts. log: the log's signature; cosigned: those of its witnesses."""

    checkpoint: Checkpoint
    log: Signed
    cosigned: tuple[Signed, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustPolicy:
    """A trust policy. logs: the keys of the trusted logs, named by origin; groups: quorums by name."""

    logs: tuple[VerifierKey, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    groups: Mapping[str, Quorum] = field(default_factory=dict)
    quorum: Quorum = field(default_factory=Quorum)

    def accept(self, note: str | bytes, *, witnessed: bool = True) -> AcceptedCheckpoint:
        """Return the note's checkpoint if one of the logs and enough witnesses have signed it.

        witnessed: whether to require the quorum. Raises MalformedError. Raises UntrustedError if no log of
        this policy signed the checkpoint under its own name, if a signature of a key in the policy is
        invalid, or if there are too few cosignatures.
        """
        read = SignedNote.parse(note)
        checkpoint = Checkpoint.read(read)
        by_log = read.signatures_by(key for key in self.logs if key.name == checkpoint.origin)
        if not by_log:
            raise UntrustedError(f"no trusted key of {checkpoint.origin} has signed its checkpoint")
        cosigned = read.signatures_by(witness.key for witness in self.witnesses)
        accepted = AcceptedCheckpoint(
            checkpoint=Checkpoint.read(read, (*by_log, *cosigned)), log=by_log[0], cosigned=cosigned
        )
        if witnessed and not self.is_witnessed(accepted):
            raise UntrustedError(
                f"too few witnesses cosigned the checkpoint: {len(cosigned)} of the policy's "
                f"{len(self.witnesses)}"
            )
        return accepted

    def is_witnessed(self, accepted: AcceptedCheckpoint) -> bool:
        """Return whether its cosignatures reach the quorum. Always true for the quorum `none`."""
        keys = {signed.key for signed in accepted.cosigned}
        names = {witness.name for witness in self.witnesses if witness.key in keys}

        def holds(quorum: Quorum) -> bool:
            votes = sum(
                holds(self.groups[name]) if name in self.groups else name in names for name in quorum.members
            )
            return votes >= quorum.needed

        return holds(self.quorum)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a policy in either format. Raises MalformedError, naming the invalid line."""
        if text.lstrip().startswith("{"):
            return cls._from_json(text)
        policy = _Lines()
        for number, line in enumerate(text.split("\n"), start=1):
            words = line.strip(" \t").replace("\t", " ").split(" ")
            words = [word for word in words if word]
            if not words or words[0].startswith("#"):
                continue
            try:
                if _CONTROL.search(line):
                    raise MalformedError("control characters are not allowed")
                policy.add(words[0], words[1:])
            except MalformedError as error:
                raise MalformedError(f"line {number} of the policy: {error}") from None
        if policy.quorum is None:
            raise MalformedError("the policy has no quorum line")
        return cls(
            logs=tuple(policy.logs),
            witnesses=tuple(policy.witnesses),
            groups=policy.groups,
            quorum=policy.quorum,
        )

    @classmethod
    def _from_json(cls, text: str) -> Self:
        try:
            document: Any = json.loads(text)
            written = [
                (record["name"], VerifierKey.parse(record["vkey"]), record["url"])
                for record in document["witnesses"]
            ]
            needed = document["threshold"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise MalformedError("the policy is not an object with witnesses and a threshold") from None
        lines = _Lines()
        for name, key, url in written:
            if not isinstance(name, str) or not isinstance(url, str):
                raise MalformedError("a witness of the policy has no name or no url")
            lines.add("witness", [name, str(key), url])
        if type(needed) is not int or not 0 <= needed <= len(written):
            raise MalformedError("the policy's threshold is not between 0 and the number of witnesses")
        members = tuple(witness.name for witness in lines.witnesses)
        return cls(witnesses=tuple(lines.witnesses), quorum=Quorum(needed=needed, members=members))


class _Lines:
    """The definitions in the lines parsed so far."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: list[Witness] = []
        self.groups: dict[str, Quorum] = {}
        self.quorum: Quorum | None = None
        self._members: set[str] = set()

    def add(self, keyword: str, words: list[str]) -> None:
        match keyword, words:
            case "log", [key, *url] if len(url) <= 1:
                self._add_log(VerifierKey.parse(key))
            case "witness", [name, key, *url] if len(url) <= 1:
                self._add_witness(name, VerifierKey.parse(key), url[0] if url else None)
            case "group", [name, count, *members] if members:
                self._add_group(name, count, members)
            case "quorum", [name]:
                self._set_quorum(name)
            case _:
                raise MalformedError("not a log, witness, group or quorum line")

    def _add_log(self, key: VerifierKey) -> None:
        if key.public_key in [known.public_key for known in self.logs]:
            raise MalformedError("duplicate key of a log")
        self.logs.append(key)

    def _add_witness(self, name: str, key: VerifierKey, url: str | None) -> None:
        self._check_new(name)
        if key.algorithm is not Algorithm.COSIGNATURE:
            raise MalformedError("a witness's key must be a cosignature key (type 04)")
        if key.public_key in [known.key.public_key for known in self.witnesses]:
            raise MalformedError("duplicate key of a witness: it would count twice")
        self.witnesses.append(Witness(name=name, key=key, url=url))

    def _add_group(self, name: str, count: str, members: list[str]) -> None:
        self._check_new(name)
        for member in members:
            if not self._is_known(member):
                raise MalformedError(f"{member} is not defined above")
            if member in self._members:
                raise MalformedError(f"{member} is already a member of a group: it would count twice")
            self._members.add(member)
        needed = {"any": 1, "all": len(members)}.get(count)
        if needed is None:
            if not _NUMBER.fullmatch(count) or int(count) > len(members):
                raise MalformedError("a group's count must be all, any, or at most its number of members")
            needed = int(count)
        self.groups[name] = Quorum(needed=needed, members=tuple(members))

    def _set_quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise MalformedError("duplicate quorum line")
        if name == "none":
            self.quorum = Quorum()
        elif self._is_known(name):
            self.quorum = Quorum(needed=1, members=(name,))
        else:
            raise MalformedError(f"{name} is not defined above")

    def _check_new(self, name: str) -> None:
        if name == "none" or self._is_known(name):
            raise MalformedError(f"the name {name} is taken")

    def _is_known(self, name: str) -> bool:
        return name in self.groups or any(witness.name == name for witness in self.witnesses)
