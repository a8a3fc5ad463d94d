"""The coordinators' dashboard: who waits, for how long, and whether organisations answer."""

from __future__ import annotations

from docs.dashboards.panel import Dashboard, Kind, Panel, Query, Unit

# Each process of routing shows the same figures.
_OPEN = "max by (status, urgency) (kopuro_referrals_open{chosen})"


def _open(chosen: str = "") -> str:
    return _OPEN.format(chosen=chosen)


_UNPLACED = _open('{status="unplaced"}')


def _ended(of: str, labels: str, window: str) -> str:
    return f"sum by ({labels}) (increase(kopuro_offers_closed_total{of}[{window}]))"


def _answered_within(share: str) -> str:
    counts = "sum by (le, urgency) (increase(kopuro_offer_answer_seconds_bucket[1d]))"
    return f"histogram_quantile({share}, {counts})"


NETWORK = Dashboard(
    name="network",
    title="Kopuro: the network",
    description="How many referrals wait, for how long, and whether organisations answer. For coordinators.",
    panels=[
        Panel(
            title="Oldest emergency that nobody has accepted",
            description="Time since it was submitted. Above 20 minutes somebody must telephone.",
            unit=Unit.seconds,
            kind=Kind.number,
            width=6,
            height=4,
            queries=[
                Query(
                    expression="max(kopuro_referrals_oldest_seconds"
                    '{status=~"offered|unplaced", urgency="emergency"})'
                )
            ],
        ),
        Panel(
            title="Unplaced referrals",
            description="Referrals that wait for a coordinator: `kopuro coordination queue --kind unplaced`.",
            unit=Unit.number,
            kind=Kind.number,
            width=6,
            height=4,
            queries=[Query(expression=f"sum({_UNPLACED})")],
        ),
        Panel(
            title="Overdue reports",
            description="Referrals whose report is late: `kopuro coordination queue --kind overdue`.",
            unit=Unit.number,
            kind=Kind.number,
            width=6,
            height=4,
            queries=[Query(expression="max(kopuro_referrals_overdue)")],
        ),
        Panel(
            title="Services without a fresh capacity",
            description="Their capacity was last confirmed more than 90 days ago. Ask these organisations.",
            unit=Unit.number,
            kind=Kind.number,
            width=6,
            height=4,
            queries=[Query(expression="max(kopuro_directory_stale_services)")],
        ),
        Panel(
            title="Open referrals by status",
            description="Referrals that have not ended. `unplaced` should fall to zero; `accepted` may grow.",
            unit=Unit.number,
            queries=[Query(expression=f"sum by (status) ({_open()})", legend="{{status}}")],
        ),
        Panel(
            title="Age of the oldest referral",
            description="Time since the oldest referral in each status and urgency was submitted.",
            unit=Unit.seconds,
            queries=[
                Query(
                    expression="max by (status, urgency) "
                    '(kopuro_referrals_oldest_seconds{status=~"offered|unplaced"})',
                    legend="{{status}}, {{urgency}}",
                )
            ],
        ),
        Panel(
            title="Open referrals by need and country",
            description="The ten largest groups, in fives: where help is asked for now.",
            unit=Unit.number,
            kind=Kind.bars,
            queries=[
                Query(
                    expression="topk(10, max by (need_group, country) (kopuro_referrals_open_by_need))",
                    legend="{{need_group}}, {{country}}",
                )
            ],
        ),
        Panel(
            title="Referrals left to coordinators in a day",
            description="`no_candidate`: nobody fits. `candidates_exhausted`: all that fit were asked.",
            unit=Unit.number,
            queries=[
                Query(expression="sum by (reason) (increase(kopuro_unplaced_total[1d]))", legend="{{reason}}")
            ],
        ),
        Panel(
            title="Ends of offers in a day",
            description="Expired offers are silence: a person waited for an answer that did not come.",
            unit=Unit.number,
            queries=[Query(expression=_ended("", "result", "1d"), legend="{{result}}")],
        ),
        Panel(
            title="Reasons for declining in a week",
            description="`no_capacity` asks for members, `not_eligible` and `language` for better records.",
            unit=Unit.number,
            kind=Kind.bars,
            queries=[Query(expression=_ended('{result="declined"}', "reason", "7d"), legend="{{reason}}")],
        ),
        Panel(
            title="Answer times",
            description="Half and nine tenths of a day's answers came within this time, by urgency.",
            unit=Unit.seconds,
            queries=[
                Query(expression=_answered_within("0.5"), legend="half, {{urgency}}"),
                Query(expression=_answered_within("0.9"), legend="nine tenths, {{urgency}}"),
            ],
        ),
        Panel(
            title="Share of offers without an answer",
            description="Expired offers of a day, of all that were accepted, declined or expired.",
            unit=Unit.share,
            queries=[
                Query(
                    expression=_ended('{result="expired"}', "urgency", "1d")
                    + " / "
                    + _ended('{result=~"accepted|declined|expired"}', "urgency", "1d"),
                    legend="{{urgency}}",
                )
            ],
        ),
    ],
)
