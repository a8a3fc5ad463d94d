"""Assembly of the routing service; the only module that chooses adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contracts.envelope import Envelope, decode
from contracts.topology import REQUESTERS, ROUTING, ROUTING_PARTITIONS, ROUTING_QUERIES
from runtime.access.access_records import AccessRecords
from runtime.application import Application
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.replica import ReplicaHistory, ReplicaRecord
from runtime.messaging.request_reply import RequestServer
from runtime.periodic import Periodic
from runtime.service_platform import build_platform
from runtime.settings import Settings
from services.routing.adapters.digests import SqlDigests
from services.routing.adapters.fact_reduction import SqlFactReduction
from services.routing.adapters.issued_statements import SqlStatementStore
from services.routing.adapters.past_referrals import SqlPastReferrals
from services.routing.adapters.placement_keys import SqlPlacementKeys
from services.routing.adapters.policies import SqlPolicyStore
from services.routing.adapters.store import SqlReferralStore
from services.routing.adapters.stored_decisions import SqlStoredDecisions
from services.routing.adapters.tables import DIRECTORY_CHANGES, MESSAGING, REPLICA
from services.routing.adapters.unanswered import SqlUnansweredEmergencies
from services.routing.adapters.week_events import SqlWeekEvents
from services.routing.adapters.weekly_reports import SqlWeeklyReports
from services.routing.api import reply_to_query
from services.routing.deadlines import DeadlineTimer
from services.routing.domain.coverage import stale_services
from services.routing.domain.digest import DigestPeriod
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_document import ConfiguredPolicy, configured_policy, document_of
from services.routing.handlers.commands import RoutingCommands
from services.routing.handlers.coordination_queries import CoordinationQueries
from services.routing.handlers.coordinator_submissions import CoordinatorSubmissions
from services.routing.handlers.decision_spans import DecisionSpans
from services.routing.handlers.digests import WriteDigests
from services.routing.handlers.fact_reduction import ReduceFacts
from services.routing.handlers.network_queries import NetworkQueries
from services.routing.handlers.policies import LivePolicy, Policies
from services.routing.handlers.policy_simulations import PolicySimulations
from services.routing.handlers.previews import Previews
from services.routing.handlers.queries import RoutingQueries
from services.routing.handlers.statement_issuing import IssueStatements
from services.routing.handlers.statement_queries import StatementQueries
from services.routing.handlers.transactions import RoutingTransactions
from services.routing.handlers.unanswered import ReportUnanswered
from services.routing.handlers.weekly_reports import ReportQueries, ReportWeeks
from services.routing.live_directory import LiveDirectory, directory_entry
from services.routing.metrics import RoutingCounters, RoutingMetrics
from services.routing.readiness_gate import ReadinessGate

# A turn reduces at most 200 referrals: some 1.7 million a day.
_SECONDS_BETWEEN_REDUCTIONS = 10.0
# Two reads of the open emergencies, which are few.
_SECONDS_BETWEEN_ALERTS = 5.0
# A turn without a due report is one read of a small table.
_SECONDS_BETWEEN_REPORTS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingParts:
    """The objects that the service's entrypoints call."""

    commands: RoutingCommands
    queries: RoutingQueries
    coordination: CoordinationQueries
    whole_network: NetworkQueries
    simulations: PolicySimulations
    reports: ReportQueries
    statements: StatementQueries
    facts: ReadinessGate
    directory: BatchProcessor[Envelope]
    query_server: RequestServer


def build(settings: Settings) -> Application[RoutingParts]:
    """Build the routing application. Raises Refused if the policy file is invalid."""
    platform = build_platform("routing", settings, MESSAGING)
    network, access = LiveDirectory(), AccessRecords()

    policies = Policies(
        database=platform.database,
        store=SqlPolicyStore(),
        outbox=platform.messenger.outbox,
        source=platform.source,
    )
    policy = LivePolicy(
        policies,
        read_policy(settings.policy),
        platform.clock,
        platform.messenger.wake,
    )
    store = SqlReferralStore()
    queries = RoutingQueries(database=platform.database, store=store, directory=network.directory)
    decision_spans = DecisionSpans(platform.clock, platform.spans)
    transactions = RoutingTransactions(
        database=platform.database,
        store=store,
        outbox=platform.messenger.outbox,
        network=network,
        has_live_client=access.has_live_client,
        policy=policy.current,
        source=platform.source,
        after_commit=platform.messenger.wake,
        count=RoutingCounters(platform.registry).count,
        report=decision_spans.report,
    )
    coordinators = CoordinatorSubmissions(
        database=platform.database,
        store=store,
        keys=SqlPlacementKeys(),
        outbox=platform.messenger.outbox,
        source=platform.source,
        after_commit=platform.messenger.wake,
    )
    commands = RoutingCommands(
        database=platform.database,
        store=store,
        network=network,
        transactions=transactions,
        coordinators=coordinators,
    )
    reducing = ReduceFacts(
        database=platform.database,
        reduction=SqlFactReduction(),
        policy=policy.current,
        clock=platform.clock,
        kept=settings.facts_kept,
    )
    facts = platform.messenger.consumer(ROUTING, commands.take_facts, decode, queues=ROUTING_PARTITIONS)
    directory, directory_unready = platform.messenger.replica(
        REPLICA,
        "routing.directory",
        absorbing(access, network),
        history=ReplicaHistory(table=DIRECTORY_CHANGES, entry_of=directory_entry),
    )
    previews = Previews(
        database=platform.database,
        past=SqlPastReferrals(),
        network=network,
        policy=policy.current,
        unready=directory_unready,
        clock=platform.clock,
    )
    unanswered = ReportUnanswered(
        database=platform.database,
        store=store,
        emergencies=SqlUnansweredEmergencies(),
        outbox=platform.messenger.outbox,
        policy=policy.current,
        source=platform.source,
        clock=platform.clock,
        after_commit=platform.messenger.wake,
        report=decision_spans.report,
    )
    digests = WriteDigests(
        every=None if settings.digest is None else DigestPeriod(settings.digest),
        database=platform.database,
        digests=SqlDigests(),
        outbox=platform.messenger.outbox,
        source=platform.source,
        clock=platform.clock,
        after_commit=platform.messenger.wake,
    )
    reports = SqlWeeklyReports()
    reporting = ReportWeeks(
        database=platform.database,
        reports=reports,
        events=SqlWeekEvents(),
        network=network,
        unready=directory_unready,
        clock=platform.clock,
    )
    statements = SqlStatementStore()
    issuing = IssueStatements(
        database=platform.database,
        reports=reports,
        statements=statements,
        outbox=platform.messenger.outbox,
        source=platform.source,
        clock=platform.clock,
        after_commit=platform.messenger.wake,
    )
    RoutingMetrics(
        platform.registry,
        figures=queries.figures,
        stale_services=lambda now: stale_services(network.directory.all_offered_services(), now),
        clock=platform.clock,
    )
    return Application(
        name="routing",
        settings=settings,
        database=platform.database,
        handlers=RoutingParts(
            commands=commands,
            queries=queries,
            coordination=CoordinationQueries(
                database=platform.database,
                store=store,
                directory=network.directory,
                consider=commands.consider,
                circumstances=commands.circumstances,
            ),
            whole_network=NetworkQueries(
                database=platform.database, store=store, network=network, consider=commands.consider
            ),
            simulations=PolicySimulations(
                database=platform.database,
                stored=SqlStoredDecisions(),
                policies=policies,
                directory=network.directory,
                unready=directory_unready,
            ),
            reports=ReportQueries(database=platform.database, reports=reports),
            statements=StatementQueries(database=platform.database, reports=reports, statements=statements),
            facts=ReadinessGate(facts, directory_unready),
            directory=directory,
            query_server=platform.messenger.request_server(
                ROUTING_QUERIES, REQUESTERS, partial(reply_to_query, queries, preview=previews.preview)
            ),
        ),
        verifier=access.verifier(settings.hub, platform.clock, issuer=settings.issuer),
        is_excluded=access.is_excluded,
        messenger=platform.messenger,
        reads=platform.read_recorder(),
        readiness=[("broker", platform.messenger.unready), ("directory", directory_unready)],
        warnings=[*platform.warnings(), ("policy", policy.alarm)],
        background=[
            *platform.background(),
            # After the messenger, which reads the stored directory when it starts.
            network,
            policy,
            DeadlineTimer(commands, platform.clock, directory_unready),
            Periodic("reduction of facts", reducing.turn, seconds=_SECONDS_BETWEEN_REDUCTIONS),
            Periodic("unanswered emergencies", unanswered.turn, seconds=_SECONDS_BETWEEN_ALERTS),
            Periodic("weekly reports", reporting.turn, seconds=_SECONDS_BETWEEN_REPORTS),
            Periodic("monthly statements", issuing.turn, seconds=_SECONDS_BETWEEN_REPORTS),
            Periodic("digests", digests.turn, seconds=_SECONDS_BETWEEN_REPORTS),
        ],
        spans=platform.spans,
        registry=platform.registry,
        clock=platform.clock,
    )


def absorbing(access: AccessRecords, network: LiveDirectory) -> Callable[[Sequence[ReplicaRecord]], None]:
    """Return what applies directory records to both: to access first, because the network takes turns.

    A revoked client and a suspended organisation are refused from the first turn on.
    """

    def absorb(records: Sequence[ReplicaRecord]) -> None:
        access.absorb(records)
        network.absorb(records)

    return absorb


def read_policy(path: Path | None) -> ConfiguredPolicy:
    """Return the policy of a JSON file, or the default policy. Raises Refused as `parse_policy` does."""
    if path is None:
        return ConfiguredPolicy(document=document_of(RoutingPolicy()))
    return configured_policy(path.read_bytes())
