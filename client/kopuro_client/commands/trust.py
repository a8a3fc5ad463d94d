"""Whose word counts when something is verified: keys and policies that were given, or are remembered."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from kopuro_client.commands.input_file import read_text
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.tlog.checkpoint import Checkpoint
from kopuro_client.tlog.errors import TlogError, UntrustedError
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.memory import Memory
from kopuro_client.tlog.policy import TrustPolicy


class KeyFrom(StrEnum):
    """Where the log's key was taken from. Only the first two say something about who signed."""

    GIVEN = "given"  # on the command line or in the policy
    REMEMBERED = "remembered"  # from the last time the log was verified here
    NAMED = "named"  # by the very thing that is verified


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """What to verify one log with. last: its checkpoint that was verified here before."""

    policy: TrustPolicy
    key_from: KeyFrom
    last: Checkpoint | None


def given_policy(log_key: str | None, policy: Path | None) -> TrustPolicy:
    """What the command line says. Raises InvalidArgumentError.

    A key given beside a policy takes the place of the logs that this names.
    """
    try:
        given = TrustPolicy() if policy is None else TrustPolicy.parse(read_text(policy))
        return given if log_key is None else replace(given, logs=(read_key(log_key),))
    except TlogError as error:
        raise InvalidArgumentError(str(error)) from error


def trust_in(
    origin: str, given: TrustPolicy, memory: Memory, *, named: Callable[[], VerifierKey | None]
) -> Trust:
    """Whom to trust about this log: what is given comes first, then what is remembered, then `named`.

    Raises InvalidArgumentError where nobody tells a key; UntrustedError where the key given is not the
    one that the log was verified with before; what `recall` raises.
    """
    remembered = memory.recall(origin)
    last = None if remembered is None else remembered.checkpoint
    if given.logs:
        if remembered is not None and remembered.log_key not in given.logs:
            raise UntrustedError(
                f"this machine has verified {origin} with another key before; if it was told so by somebody "
                f"else than the log itself, remove {memory.file(origin)}"
            )
        return Trust(policy=given, key_from=KeyFrom.GIVEN, last=last)
    if remembered is not None:
        policy = replace(given, logs=(remembered.log_key,))
        return Trust(policy=policy, key_from=KeyFrom.REMEMBERED, last=last)
    key = named()
    if key is None:
        raise InvalidArgumentError(f"which key has {origin}? Give --log-key or a --policy that names it")
    return Trust(policy=replace(given, logs=(key,)), key_from=KeyFrom.NAMED, last=None)


def read_key(text_or_file: str) -> VerifierKey:
    """A verifier key, or the one in a file of that name. Raises TlogError, InvalidArgumentError."""
    is_key = "+" in text_or_file and not os.path.isfile(text_or_file)
    return VerifierKey.parse(text_or_file if is_key else read_text(Path(text_or_file)).strip())
