"""Assembly of the routing service; the only module that chooses adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson

from contracts.envelope import Envelope, decode
from contracts.errors import Refused
from contracts.records import load
from contracts.topology import REQUESTERS, ROUTING, ROUTING_PARTITIONS
from runtime.access.access_records import AccessRecords
from runtime.application import Application
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.replica import ReplicaRecord
from runtime.messaging.request_reply import RequestServer
from runtime.service_platform import build_platform
from runtime.settings import Settings
from services.routing.adapters.placement_keys import SqlPlacementKeys
from services.routing.adapters.store import SqlReferralStore
from services.routing.adapters.tables import MESSAGING, REPLICA
from services.routing.api import answer_question
from services.routing.deadlines import DeadlineTimer
from services.routing.domain.policy import RoutingPolicy
from services.routing.handlers.commands import RoutingCommands
from services.routing.handlers.coordination_queries import CoordinationQueries
from services.routing.handlers.network_queries import NetworkQueries
from services.routing.handlers.queries import RoutingQueries
from services.routing.live_directory import LiveDirectory
from services.routing.metrics import RoutingMetrics
from services.routing.readiness_gate import ReadinessGate


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingParts:
    """The objects that the service's entrypoints call."""

    commands: RoutingCommands
    queries: RoutingQueries
    coordination: CoordinationQueries
    whole_network: NetworkQueries
    facts: ReadinessGate
    directory: BatchProcessor[Envelope]
    questions: RequestServer


def build(settings: Settings) -> Application[RoutingParts]:
    """Build the routing application. Raises Refused if the policy file is invalid."""
    platform = build_platform("routing", settings, MESSAGING)
    network, access = LiveDirectory(), AccessRecords()

    def absorb(records: Sequence[ReplicaRecord]) -> None:
        network.absorb(records)
        access.absorb(records)

    store = SqlReferralStore()
    queries = RoutingQueries(database=platform.database, store=store)
    commands = RoutingCommands(
        database=platform.database,
        store=store,
        placement_keys=SqlPlacementKeys(),
        outbox=platform.messenger.outbox,
        network=network,
        has_live_client=access.has_live_client,
        policy=read_policy(settings.policy),
        source=platform.source,
        after_commit=platform.messenger.wake,
    )
    facts = platform.messenger.consumer(ROUTING, commands.take_facts, decode, queues=ROUTING_PARTITIONS)
    directory, directory_unready = platform.messenger.replica(REPLICA, "routing.directory", absorb)
    RoutingMetrics(platform.registry, queries.status_counts)
    return Application(
        name="routing",
        settings=settings,
        database=platform.database,
        handlers=RoutingParts(
            commands=commands,
            queries=queries,
            coordination=CoordinationQueries(
                database=platform.database, store=store, consider=commands.consider
            ),
            whole_network=NetworkQueries(
                database=platform.database, store=store, network=network, consider=commands.consider
            ),
            facts=ReadinessGate(facts, directory_unready),
            directory=directory,
            questions=RequestServer(
                platform.broker,
                partial(answer_question, queries),
                askers=platform.authors.users_of(REQUESTERS),
            ),
        ),
        verifier=access.verifier(settings.hub, platform.clock),
        is_excluded=access.is_excluded,
        messenger=platform.messenger,
        reads=platform.read_recorder(),
        readiness=[("broker", platform.messenger.unready), ("directory", directory_unready)],
        warnings=platform.warnings(),
        background=[platform.messenger, DeadlineTimer(commands, platform.clock)],
        registry=platform.registry,
        clock=platform.clock,
    )


def read_policy(path: Path | None) -> RoutingPolicy:
    """Return the policy of a JSON file, or the default policy. Raises Refused with pointers."""
    if path is None:
        return RoutingPolicy()
    try:
        written = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise Refused("malformed-json", "Correct the policy file.") from None
    return load(RoutingPolicy, written)
