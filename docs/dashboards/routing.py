"""The operators' dashboard of routing: whether decisions and deadlines keep up."""

from __future__ import annotations

from docs.dashboards.panel import RATE, Dashboard, Kind, Panel, Query, Unit, processor_time

ROUTING = Dashboard(
    name="routing",
    title="Kopuro: routing",
    description="Whether decisions, offers and deadlines keep up. For operators.",
    panels=[
        Panel(
            title="Age of the facts that routing processes",
            description="By the facts' own times. Above a few seconds organisations are asked late.",
            unit=Unit.seconds,
            queries=[
                Query(
                    expression='max by (consumer) (kopuro_consumer_oldest_seconds{consumer=~"routing.*"})',
                    legend="{{consumer}}",
                )
            ],
        ),
        Panel(
            title="Messages processed",
            description="By result. `parked` is a dead letter, `postponed` a retry, `known` a duplicate.",
            unit=Unit.per_second,
            queries=[
                Query(
                    expression="sum by (result) "
                    f'(rate(kopuro_messages_consumed_total{{consumer=~"routing.*"}}{RATE}))',
                    legend="{{result}}",
                )
            ],
        ),
        Panel(
            title="Messages in a batch",
            description="Median and 90th percentile. Large batches mean that routing is catching up.",
            unit=Unit.number,
            queries=[
                Query(
                    expression=f"histogram_quantile({share}, sum by (le) "
                    f'(rate(kopuro_batch_messages_bucket{{consumer="routing"}}{RATE})))',
                    legend=name,
                )
                for share, name in ((0.5, "half"), (0.9, "nine tenths"))
            ],
        ),
        Panel(
            title="Age of the oldest open offer",
            description="It ends at the answer time of its urgency. Above that, deadlines do not fire.",
            unit=Unit.seconds,
            queries=[
                Query(expression="max by (urgency) (kopuro_offers_open_oldest_seconds)", legend="{{urgency}}")
            ],
        ),
        Panel(
            title="Offers that ended",
            description="Accepted, declined, expired, revoked and returned offers.",
            unit=Unit.per_second,
            queries=[
                Query(
                    expression=f"sum by (result) (rate(kopuro_offers_closed_total{RATE}))",
                    legend="{{result}}",
                )
            ],
        ),
        Panel(
            title="Reasons of revoked offers in a day",
            description="`accepted_elsewhere` is normal for emergencies. Somebody's act causes the others.",
            unit=Unit.number,
            kind=Kind.bars,
            queries=[
                Query(
                    expression='sum by (reason) (increase(kopuro_offers_closed_total{result="revoked"}[1d]))',
                    legend="{{reason}}",
                )
            ],
        ),
        Panel(
            title="Age of routing's outbox",
            description="By the events' own times. It rises while the broker is away.",
            unit=Unit.seconds,
            queries=[Query(expression='max(kopuro_outbox_oldest_seconds{service="routing"})')],
        ),
        processor_time('{job="kopuro", service="routing"}'),
    ],
)
