"""The operators' dashboard of any one service, chosen by `$service`."""

from __future__ import annotations

from docs.dashboards.panel import RATE, Dashboard, Kind, Panel, Query, Unit, processor_time

_OF = '{service="$service"}'


def _quantile(share: float) -> str:
    # Long polls wait on purpose.
    chosen = '{service="$service", route!~".*mailbox.*"}'
    return (
        f"histogram_quantile({share}, sum by (le) (rate(kopuro_http_request_seconds_bucket{chosen}{RATE})))"
    )


SERVICE = Dashboard(
    name="service",
    title="Kopuro: a service",
    description="Requests, messages and resources of one service. For operators.",
    by_service=True,
    panels=[
        Panel(
            title="Processes",
            description="The watched processes by version. If there are none, see KopuroServiceAbsent.",
            unit=Unit.number,
            kind=Kind.number,
            width=6,
            height=4,
            queries=[
                Query(expression=f"sum by (version) (kopuro_build_info{_OF})", legend="{{version}}"),
            ],
        ),
        Panel(
            title="Age of the outbox",
            description="Age of the oldest event that is not published yet.",
            unit=Unit.seconds,
            kind=Kind.number,
            width=6,
            height=4,
            queries=[Query(expression=f"max(kopuro_outbox_oldest_seconds{_OF})")],
        ),
        Panel(
            title="Dead letters",
            description="Messages without effect until they are replayed: `kopuro admin dead-letters list`.",
            unit=Unit.number,
            kind=Kind.number,
            width=6,
            height=4,
            queries=[Query(expression=f"sum(max by (consumer) (kopuro_messages_parked{_OF}))")],
        ),
        Panel(
            title="Longest stall",
            description="How long a relay or consumer has been stalled. `/readyz` names it.",
            unit=Unit.seconds,
            kind=Kind.number,
            width=6,
            height=4,
            queries=[Query(expression=f"max(kopuro_messaging_paused_seconds{_OF})")],
        ),
        Panel(
            title="Requests",
            description="By status. 429 and 503 ask the caller to come back later.",
            unit=Unit.requests,
            queries=[
                Query(
                    expression=f"sum by (status) (rate(kopuro_http_requests_total{_OF}{RATE}))",
                    legend="{{status}}",
                )
            ],
        ),
        Panel(
            title="Duration of requests",
            description="Median and 99th percentile. Long polls of mailboxes are left out.",
            unit=Unit.seconds,
            queries=[
                Query(expression=_quantile(0.5), legend="half"),
                Query(expression=_quantile(0.99), legend="99 in 100"),
            ],
        ),
        Panel(
            title="Requests and connections in progress",
            description="Long polls count. Refused connections: see the alert KopuroConnectionsRefused.",
            unit=Unit.number,
            queries=[
                Query(expression=f"sum(kopuro_http_requests_in_flight{_OF})", legend="requests"),
                Query(expression=f"sum(kopuro_public_connections{_OF})", legend="connections"),
            ],
        ),
        Panel(
            title="Age of consumed events",
            description="By the events' own times. It grows while a consumer is behind or stalled.",
            unit=Unit.seconds,
            queries=[
                Query(
                    expression=f"max by (consumer) (kopuro_consumer_oldest_seconds{_OF})",
                    legend="{{consumer}}",
                )
            ],
        ),
        Panel(
            title="Messages consumed",
            description="By consumer, with duplicates and retries.",
            unit=Unit.per_second,
            queries=[
                Query(
                    expression=f"sum by (consumer) (rate(kopuro_messages_consumed_total{_OF}{RATE}))",
                    legend="{{consumer}}",
                )
            ],
        ),
        Panel(
            title="Messages published, and waiting",
            description="Confirmed by the broker in a second, and in the outbox now.",
            unit=Unit.number,
            queries=[
                Query(
                    expression=f"sum(rate(kopuro_messages_published_total{_OF}{RATE}))",
                    legend="published a second",
                ),
                Query(expression=f"max(kopuro_outbox_messages{_OF})", legend="waiting"),
            ],
        ),
        Panel(
            title="Time of a publish wave",
            description="From its first message to the broker's last confirm: median and 99th percentile.",
            unit=Unit.seconds,
            queries=[
                Query(
                    expression=f"histogram_quantile({share}, sum by (le) "
                    f"(rate(kopuro_publish_wave_seconds_bucket{_OF}{RATE})))",
                    legend=name,
                )
                for share, name in ((0.5, "half"), (0.99, "99 in 100"))
            ],
        ),
        Panel(
            title="Age of events without a receipt",
            description="Published events that the log has not confirmed. It alerts above 15 minutes.",
            unit=Unit.seconds,
            queries=[Query(expression=f"max(kopuro_unreceipted_oldest_seconds{_OF})")],
        ),
        Panel(
            title="Memory",
            description="Resident memory of each process.",
            unit=Unit.bytes,
            queries=[
                Query(
                    expression=f"max by (instance) (process_resident_memory_bytes{_OF})",
                    legend="{{instance}}",
                )
            ],
        ),
        processor_time(_OF),
    ],
)
