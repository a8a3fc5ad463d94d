"""How routing is put together: the only place where its adapters are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson

from contracts.envelope import Envelope, decode
from contracts.errors import Refused
from contracts.records import load
from contracts.topology import ROUTING, ROUTING_PARTITIONS
from runtime.application import Application
from runtime.foundation import lay
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.queries import QuestionProcessor
from runtime.messaging.replica import Record
from runtime.settings import Settings
from runtime.web.token_keys import TokenKeys
from runtime.web.tokens import TokenVerifier, issuer_of
from services.routing.adapters.store import SqlReferralStore
from services.routing.adapters.tables import MESSAGING, REPLICA
from services.routing.api import answer_question
from services.routing.deadlines import DeadlineTimer
from services.routing.domain.policy import Policy
from services.routing.gate import AfterDirectory
from services.routing.handlers import Handlers
from services.routing.metrics import RoutingMetrics
from services.routing.network import Network


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the service's methods call."""

    use_cases: Handlers
    facts: AfterDirectory
    directory: BatchProcessor[Envelope]
    questions: QuestionProcessor


def build(settings: Settings) -> Application:
    """The routing process. Raises Refused for a policy file that does not follow the contract."""
    ground = lay("routing", settings, MESSAGING)
    network, keys = Network(), TokenKeys()

    def absorb(records: Sequence[Record]) -> None:
        network.absorb(records)
        keys.absorb(records)

    handlers = Handlers(
        database=ground.database,
        store=SqlReferralStore(),
        outbox=ground.messenger.outbox,
        network=network,
        policy=read_policy(settings.policy),
        source=ground.source,
        after_commit=ground.messenger.wake,
    )
    facts = ground.messenger.consumer(ROUTING, handlers.take_facts, decode, queues=ROUTING_PARTITIONS)
    directory, directory_unready = ground.messenger.replica(REPLICA, "routing.directory", absorb)
    RoutingMetrics(ground.registry, handlers.status_counts)
    return Application(
        name="routing",
        settings=settings,
        database=ground.database,
        handlers=Parts(
            use_cases=handlers,
            facts=AfterDirectory(facts, directory_unready),
            directory=directory,
            questions=QuestionProcessor(ground.broker, partial(answer_question, handlers)),
        ),
        verifier=TokenVerifier(keys, issuer_of(settings.hub), ground.clock),
        messenger=ground.messenger,
        readiness=[("broker", ground.messenger.unready), ("directory", directory_unready)],
        warnings=ground.warnings(),
        background=[ground.messenger, DeadlineTimer(handlers, ground.clock)],
        registry=ground.registry,
        clock=ground.clock,
    )


def read_policy(path: Path | None) -> Policy:
    """The policy in a JSON file; the network's default without one. Raises Refused with pointers."""
    if path is None:
        return Policy()
    try:
        written = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise Refused("malformed-json", "The policy file is not valid JSON.") from None
    return load(Policy, written)
