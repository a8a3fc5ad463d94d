"""Trust for a verification: the keys and policies that were given or are remembered."""

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
    """Source of the log's key. Only the first two are evidence of who signed."""

    GIVEN = "given"  # on the command line or in the policy
    REMEMBERED = "remembered"  # from the last verification of the log on this machine
    NAMED = "named"  # by the log or bundle that is being verified


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Policy for verifying one log. last: its last checkpoint verified on this machine."""

    policy: TrustPolicy
    key_from: KeyFrom
    last: Checkpoint | None


def given_policy(log_key: str | None, policy: Path | None) -> TrustPolicy:
    """Return the policy that the command line gives. A log key replaces the logs that the policy names.

    Raises InvalidArgumentError if the key or the policy is invalid.
    """
    try:
        given = TrustPolicy() if policy is None else TrustPolicy.parse(read_text(policy))
    except TlogError as error:
        raise InvalidArgumentError(f"{policy}: {error}") from error
    return given if log_key is None else replace(given, logs=(read_key(log_key),))


def trust_in(
    origin: str, given: TrustPolicy, memory: Memory, *, named: Callable[[], VerifierKey | None]
) -> Trust:
    """Return the policy for a log: with the given key, else the remembered one, else the one `named` returns.

    Raises InvalidArgumentError if there is no key, UntrustedError if the given key is not the one with which
    the log was verified before, and what `Memory.recall` raises.
    """
    remembered = memory.recall(origin)
    last = None if remembered is None else remembered.checkpoint
    if given.logs:
        if remembered is not None and remembered.log_key not in given.logs:
            raise UntrustedError(
                f"{origin} was verified with another key before on this machine; if a source other than the "
                f"log confirms the new key, remove {memory.file(origin)}"
            )
        return Trust(policy=given, key_from=KeyFrom.GIVEN, last=last)
    if remembered is not None:
        policy = replace(given, logs=(remembered.log_key,))
        return Trust(policy=policy, key_from=KeyFrom.REMEMBERED, last=last)
    key = named()
    if key is None:
        raise InvalidArgumentError(f"no key for {origin}: give --log-key, or a --policy that names it")
    return Trust(policy=replace(given, logs=(key,)), key_from=KeyFrom.NAMED, last=None)


def read_key(text_or_file: str) -> VerifierKey:
    """Parse a verifier key, given as text or as a file's name.

    Raises InvalidArgumentError, which names the file; it never repeats a key, because that may be a private
    one given by mistake.
    """
    is_key = "+" in text_or_file and not os.path.isfile(text_or_file)
    try:
        return VerifierKey.parse(text_or_file if is_key else read_text(Path(text_or_file)).strip())
    except TlogError as error:
        where = "--log-key" if is_key else text_or_file
        raise InvalidArgumentError(f"{where}: {error}") from error
