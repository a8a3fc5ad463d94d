"""Plays the sandbox's organisations through the public API, one thread for each.

A message is acknowledged once it was acted on, so a restart loses no answer, not even one that waits for its
time.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kopuro_client import Kopuro, RefusedError, RetryPolicy, Transport
from sandbox.partners.behaviour import Act, Behaviour, Kind, act_on
from sandbox.partners.organizations import organization_id

logger = logging.getLogger(__name__)

_LONGEST_POLL: Final = 20.0
_NOTE: Final = "The sandbox's organisation that declines for another reason."


class Player:
    """One organisation with a fixed behaviour."""

    def __init__(self, behaviour: Behaviour, hub: Kopuro) -> None:
        self._behaviour = behaviour
        self._hub = hub
        self._waiting: list[tuple[dt.datetime, str, Act]] = []  # with the id of the message

    def run(self) -> None:
        """Read the mailbox and act, without end."""
        after: str | None = None
        while True:
            after = self.turn(after, longest=_LONGEST_POLL)

    def turn(self, after: str | None, *, longest: float) -> str | None:
        """Wait for messages and act on them and on what is due; return the cursor to read after.

        longest: seconds. The message of a delayed act is not acknowledged: it is read again after a restart.
        """
        page = self._hub.mailbox(wait=self._patience(longest), after=after)
        for message in page["items"]:
            act = self._act_on(message)
            if act is not None and act.due is not None:
                self._waiting.append((act.due, message["id"], act))
            else:
                self._do(message["id"], act)
        now = dt.datetime.now(dt.UTC)
        due = [one for one in self._waiting if one[0] <= now]
        self._waiting = [one for one in self._waiting if one[0] > now]
        for _, message_id, act in due:
            self._do(message_id, act)
        return page.get("resume") or after

    def _patience(self, longest: float) -> float:
        if not self._waiting:
            return longest
        left = (min(self._waiting)[0] - dt.datetime.now(dt.UTC)).total_seconds()
        return float(math.ceil(min(longest, max(0.0, left))))

    def _act_on(self, message: Mapping[str, Any]) -> Act | None:
        fact, data = message["type"].removeprefix("kopuro.").rpartition(".v")[0], message["data"]
        is_replaced = (
            self._behaviour is Behaviour.unreadable
            and fact == "case.released"
            and any(
                step["fact"] == "case.unreadable"
                for step in self._hub.referral(data["referral_id"])["timeline"]
            )
        )
        return act_on(self._behaviour, fact, data, is_replaced=is_replaced)

    def _do(self, message_id: str, act: Act | None) -> None:
        if act is not None:
            logger.info("%s: %s %s", self._behaviour, act.kind, act.subject)
            try:
                self._perform(act)
            except RefusedError as refused:
                # An offer that has ended meanwhile, for example: a developer may have withdrawn the referral.
                logger.warning("%s: refused: %s", self._behaviour, refused.detail)
        self._hub.acknowledge(message_id)

    def _perform(self, act: Act) -> None:
        match act.kind:
            case Kind.accept:
                self._hub.accept(act.subject, idempotency_key=f"accept-{act.subject}")
            case Kind.decline:
                note = _NOTE if act.reason == "other" else None
                self._hub.decline(act.subject, str(act.reason), note=note)
            case Kind.close_loop:
                self._hub.case(act.subject)
                self._hub.progress(act.subject, "in_progress")
                self._hub.complete(act.subject, "resolved")
            case Kind.report_unreadable:
                self._hub.report_unreadable(act.subject, str(act.reason))
            case Kind.hand_back:
                self._hub.hand_back(act.subject, str(act.reason))


def play(discovery: str, credentials: Path) -> None:
    """Play every organisation that the credentials file names, until the process ends."""
    people = json.loads(credentials.read_text(encoding="utf-8"))["organizations"]
    transport = Transport(retry=RetryPolicy.lasting())
    threads = [
        threading.Thread(
            target=_play, args=(behaviour, discovery, people[name], transport), name=name, daemon=True
        )
        for behaviour in Behaviour
        if (name := organization_id(behaviour)) in people
    ]
    for thread in threads:
        thread.start()
    while all(thread.is_alive() for thread in threads):
        time.sleep(1)
    # The supervisor starts the process again.
    raise SystemExit(1)


def _play(behaviour: Behaviour, discovery: str, credentials: Mapping[str, Any], transport: Transport) -> None:
    hub = Kopuro.discover(
        discovery,
        credentials["client_id"],
        credentials["client_secret"],
        sealing_key=credentials["sealing_key"],
        transport=transport,
    )
    Player(behaviour, hub).run()
