"""`--simulate`: the decisions about the last referrals, made again with the directory of their time."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final, cast

from admin.operator_name import login_name
from admin.routing.stored import Stored
from contracts.facts import ReferralRead
from contracts.facts.recorded import MOST_READ
from kopuro_client.commands.counts import count
from kopuro_client.commands.output import Output
from kopuro_client.commands.policy_simulation import show_moved, show_total
from kopuro_client.records import MovedReferral
from runtime.access.read_recorder import ReadRecorder
from runtime.clock import SystemClock
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from services.routing.adapters.tables import MESSAGING
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_document import PolicyDocument
from services.routing.domain.policy_simulation import Moved, Simulation, simulate

_COMMAND: Final = "kopuro routing policy --simulate"


def simulate_stored(stored: Stored, policy: RoutingPolicy, last: int) -> Simulation:
    """Make each decision about the last referrals again, with the directory and observations of its time."""
    return simulate(stored.decisions_of_last(last), stored.sources, policy, Simulation())


def record_read(
    database: Database, hub: str, result: Simulation, document: PolicyDocument, last: int
) -> None:
    """Record that the operator reads which referrals would have gone elsewhere, with their needs and regions.

    database: routing's, whose relay publishes the fact. Call it before the result is shown: the response to
    a coordinator's simulation is recorded too. Raises Unavailable.
    """
    recorder = ReadRecorder(
        database=database,
        outbox=Outbox(MESSAGING.outbox),
        source=f"/{hub}/routing",
        clock=SystemClock(),
        after_commit=lambda: None,
    )
    reader, moved = login_name(), tuple(result.moved)
    for at in range(0, len(moved), MOST_READ):
        some = moved[at : at + MOST_READ]
        fact = ReferralRead(
            reader=reader,
            client_id=None,
            roles=("operator",),
            resource=_COMMAND,
            filter={"policy": document.digest, "referrals": str(last)},
            referral_ids=some,
            entries=len(some),
        )
        recorder.record(fact, reader)


def report(result: Simulation, out: Output) -> None:
    """Print which referrals would have gone elsewhere, at which decision, and why."""
    show_moved(out, [_shown(referral, moved) for referral, moved in result.moved.items()], "en")
    show_total(out, len(result.elsewhere), len(result.referrals), "en")
    for reason, left_out in result.left_out.items():
        out.note(f"{count(len(left_out.referrals), 'referral')} left out: {reason}")


def _shown(referral_id: str, moved: Moved) -> MovedReferral:
    """Return the referral as the hub's response to coordinators has it."""
    shown = {
        "referral_id": referral_id,
        "urgency": moved.urgency.value,
        "needs": list(moved.needs),
        "region": moved.region,
        "effects": [asdict(effect) for effect in moved.effects],
    }
    return cast(MovedReferral, shown)


def as_document(result: Simulation) -> dict[str, object]:
    """Return the simulation as JSON values: an item of `elsewhere` for each decision that would change."""
    return {
        "referrals": len(result.referrals),
        "elsewhere": [asdict(effect) for moved in result.moved.values() for effect in moved.effects],
        "left_out": {reason: len(one.referrals) for reason, one in result.left_out.items()},
    }
