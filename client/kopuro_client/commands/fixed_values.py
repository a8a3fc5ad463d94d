"""The values that the contract fixes for arguments and options.

The command refuses another value before it sends anything: nobody should read what a step would affect, and
confirm it, only to learn that the hub refuses the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import typer

V = TypeVar("V", str, str | None)

STATES_OF_APPLICATIONS: Final = (
    *("waiting", "in_approval", "vetted", "refused", "withdrawn", "expired"),
    "all",
)
STATES_OF_APPROVALS: Final = ("requested", "granted", "refused", "expired", "stale", "all")
CAPACITY_STATUSES: Final = ("capacity", "no_capacity", "waitlist", "assessment_required")
DECLINE_REASONS: Final = (
    *("no_capacity", "not_eligible", "out_of_area", "language", "conflict_of_interest"),
    *("needs_reassessment", "other"),
)
HAND_BACK_REASONS: Final = (*DECLINE_REASONS[:-1], "person_prefers_another", "other")
INTERVENTION_REASONS: Final = (
    *("no_answer", "agreed_with_organization", "asked_by_sender", "person_at_risk"),
    "other",
)
OUTCOMES: Final = (
    *("resolved", "partly_resolved", "referred_onward", "could_not_reach", "person_declined"),
    "not_resolved",
)
PROGRESS: Final = ("in_progress", "on_hold")
QUEUES: Final = ("emergency", "acceptor_suspended", "overdue", "silent", "unplaced")
REFUSALS_OF_APPLICATIONS: Final = (
    *("outside_the_network", "already_a_member", "not_verified", "not_reachable", "not_genuine"),
    "other",
)
ROLES: Final = ("partner", "coordinator", "auditor", "operator")
SUSPENSION_REASONS: Final = (
    *("person_at_risk", "agreement_breached", "data_misused", "credentials_stolen", "no_answer"),
    *("asked_by_organization", "other"),
)
UNREADABLE_REASONS: Final = ("cannot_decrypt", "not_understood", "key_lost")
WITHDRAWAL_REASONS: Final = ("person_declined", "placed_elsewhere", "entered_in_error", "other")
CONSENT_INSTEAD: Final = "; for a withdrawn consent use `revoke-consent`"
WITHDRAWALS_OF_APPROVAL: Final = (
    *("person_at_risk", "agreement_breached", "data_misused", "service_changed"),
    *("asked_by_organization", "other"),
)


def listed(values: tuple[str, ...]) -> str:
    """Return the values for a sentence: `a, b or c`."""
    return f"{', '.join(values[:-1])} or {values[-1]}"


def one_of(values: tuple[str, ...], *, instead: str = "") -> Callable[[V], V]:
    """Return the callback of a parameter with one of these values. It raises BadParameter for another.

    instead: what the refusal says about a value that another command sends.
    """

    def checked(value: V) -> V:
        if value is not None and value not in values:
            raise typer.BadParameter(f"must be {listed(values)}{instead}")
        return value

    return checked
