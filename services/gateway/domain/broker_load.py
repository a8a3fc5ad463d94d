"""How much work an organisation may cause at the partners' broker, whether or not the broker accepts it.

RabbitMQ cannot limit a user's rate. For each connection it counts the reductions (Erlang's measure of work)
of the process that reads it, which handles every frame on every channel. Statistics of messages do not
measure work: they leave out heartbeats, declarations and refusals. Bytes alone do not either, because a frame
may have only 8. They are counted as well, for the work of other processes. A requeued message is sent again,
and a channel's process decodes the properties of each message (129 kB of header fields take as long as a
hundred small submissions).

A connection that is opened and closed within the five seconds between two counts is in no statistic, so
it is not counted here either. Only a limit in front of the broker bounds such connections.

Each organisation has a bucket: work fills it, time empties it. An organisation whose bucket is full is
banned, each time for twice as long.

Source: RabbitMQ, "Management HTTP API". The decisions with their measurements are 0113 and 0124.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

# Reductions a second that an organisation may cause without end: above a hundred submissions and as many
# acknowledgements a second, at about 150 each, while the hub takes ten.
RATE: Final = 20_000.0
# Reductions that it may cause at once, beyond the rate: a full queue of submissions (256 MiB) is less, and a
# mailbox of 10,000 messages that is read within the next minute fits too.
BURST: Final = 5_000_000.0
# The cost of other work, in reductions. Two megabytes received each second are the rate.
RECEIVED_BYTE: Final = 0.01
SENT_BYTE: Final = 0.01
CONNECTION: Final = 20_000.0
# Seconds.
FIRST_BAN: Final = 60.0
LONGEST_BAN: Final = 3_600.0
# After so long without a ban, the next one is as short as the first.
CALM: Final = 3_600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLoad:
    """The broker's counts for a connection since it was opened. received, sent: bytes.

    name: unique among the live connections. opened: milliseconds by the broker's clock.
    """

    organization: str
    name: str
    opened: int
    reductions: int
    received: int = 0
    sent: int = 0

    @property
    def work(self) -> float:
        """Return all of it in reductions."""
        return self.reductions + RECEIVED_BYTE * self.received + SENT_BYTE * self.sent


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerSample:
    """The counted connections at one moment."""

    connections: tuple[ConnectionLoad, ...] = ()


def work_between(before: BrokerSample, after: BrokerSample) -> dict[str, float]:
    """Return the work of each user between two samples, in reductions.

    A connection that the earlier sample lacks counts as a whole if it was opened after all of that sample.
    Otherwise its statistics were missing, as after a restart of the management plugin.
    """
    counted = {(one.name, one.opened): one.work for one in before.connections}
    newest = max((one.opened for one in before.connections), default=0)
    work: dict[str, float] = {}
    for one in after.connections:
        known = counted.get((one.name, one.opened))
        if known is not None:
            new = max(0.0, one.work - known)
        else:
            new = one.work + CONNECTION if one.opened > newest else 0.0
        work[one.organization] = work.get(one.organization, 0.0) + new
    return work


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The bucket of an organisation. Times: seconds of a monotonic clock.

    filled: reductions at that time. banned: seconds of the last ban; 0 before the first. until: its
    end; still in force, whatever the time, until `released`. released: when it was.
    """

    at: float
    filled: float = 0.0
    banned: float = 0.0
    until: float | None = None
    released: float | None = None

    @property
    def equals_new(self) -> bool:
        """Whether the account is equal to a new one, so that it need not be kept."""
        return not self.filled and not self.banned

    def charged(self, work: float, now: float) -> Account:
        """Return the account with the work since its time. It may be banned then.

        Work that a banned organisation did before its connections were closed does not prolong the ban.
        """
        # Work and rate count together: the work was done over the whole time, not at its end.
        added = 0.0 if self.until is not None else work
        filled = max(0.0, self.filled + added - RATE * (now - self.at))
        if self.released is not None and now - self.released >= CALM:
            return Account(at=now).charged(filled, now)
        if filled <= BURST or self.until is not None:
            return replace(self, at=now, filled=filled)
        seconds = min(2 * self.banned, LONGEST_BAN) or FIRST_BAN
        # Work above the burst is forgotten: the ban is enough.
        return Account(at=now, filled=BURST, banned=seconds, until=now + seconds)

    def is_due(self, now: float) -> bool:
        """Return whether the ban has to end."""
        return self.until is not None and now >= self.until

    def after_release(self, now: float) -> Account:
        """Return the account of an organisation that may connect again."""
        return replace(self.charged(0.0, now), until=None, released=now)
