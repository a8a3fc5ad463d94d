"""Values outside a fixed list of the contract are refused before any request, also before a preview."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from typing import Any, Final

import pytest
import typer

from contracts import codes
from contracts.errors import Refused
from contracts.records import load
from kopuro_client.commands import _application, fixed_values
from kopuro_client.commands.given_times import checked_moment
from services.directory.domain.approval import State
from services.directory.domain.client import Role
from services.routing.api.acts import ExtensionRequest
from services.routing.domain.coordination_queue import QueueKind
from tests.unit.client.commands.conftest import Run, answering
from tests.unit.client.fake_hub import FakeHub

ID: Final = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"
OSH: Final = "kg.osh-legal-aid"
ENUMS: Final[dict[tuple[str, ...], type[StrEnum]]] = {
    fixed_values.CAPACITY_STATUSES: codes.CapacityStatus,
    fixed_values.DECLINE_REASONS: codes.DeclineReason,
    fixed_values.HAND_BACK_REASONS: codes.HandBackReason,
    fixed_values.INTERVENTION_REASONS: codes.InterventionReason,
    fixed_values.OUTCOMES: codes.Outcome,
    fixed_values.PROGRESS: codes.ProgressStatus,
    fixed_values.QUEUES: QueueKind,
    fixed_values.REFUSALS_OF_APPLICATIONS: codes.ApplicationRefusal,
    fixed_values.ROLES: Role,
    fixed_values.STATES_OF_APPLICATIONS[:-1]: codes.ApplicationState,
    fixed_values.STATES_OF_APPROVALS[:-1]: State,
    fixed_values.SUSPENSION_REASONS: codes.SuspensionReason,
    fixed_values.UNREADABLE_REASONS: codes.UnreadableReason,
    fixed_values.WITHDRAWAL_REASONS: codes.WithdrawalReason,
    fixed_values.WITHDRAWALS_OF_APPROVAL: codes.WithdrawalOfApproval,
}
# Each command with the parameter that has fixed values, and what else it needs. WRONG is the wrong value.
WRONG: Final = "anything"
LINES: Final = {
    "referral withdraw reason": (ID, "--reason", WRONG),
    "referral progress status": (ID, WRONG),
    "referral complete outcome": (ID, WRONG),
    "referral hand-back reason": (ID, "--reason", WRONG),
    "offer decline reason": (ID, "--reason", WRONG),
    "case unreadable reason": (ID, "--reason", WRONG),
    "organization capacity status": (OSH, "legal-aid", WRONG),
    "organization suspend reason": (OSH, "--reason", WRONG),
    "organization applications state": ("--state", WRONG),
    "organization refuse-application reason": (ID, "--reason", WRONG),
    "organization withdraw-approval reason": (OSH, "legal-aid", "--reason", WRONG),
    "coordination queue kind": ("--kind", WRONG),
    "coordination nudge reason": (ID, "--reason", WRONG),
    "coordination extend reason": (ID, "--until", "2027-01-01T00:00:00Z", "--reason", WRONG),
    "coordination move-on reason": (ID, "--reason", WRONG),
    "coordination place reason": (ID, OSH, "--reason", WRONG),
    "coordination withdraw reason": (ID, OSH, "--reason", WRONG),
    "approvals list state": ("--state", WRONG),
    "credential issue role": (OSH, WRONG),
    "admin keep-role role": (OSH, WRONG),
    "admin client create role": (OSH, WRONG, "new-file"),
}


def parameters(command: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every parameter of every command by its name, with its help."""
    below = getattr(command, "commands", None)
    if below is None:
        yield from ((f"{name} {one.name}", getattr(one, "help", None) or "") for one in command.params)
        return
    for part, inner in below.items():
        yield from parameters(inner, f"{name} {part}".strip())


@pytest.mark.parametrize(("values", "enum"), ENUMS.items())
def test_fixed_values_are_those_of_the_contract(values: tuple[str, ...], enum: type[StrEnum]) -> None:
    assert sorted(values) == sorted(code.value for code in enum)


def test_every_parameter_whose_help_lists_a_contract_s_values_is_tried() -> None:
    words = {name: set(re.findall(r"[a-z_]+", text)) for name, text in parameters(_application())}
    listing = {name for name, text in words.items() if any(text >= set(values) for values in ENUMS)}
    assert listing == LINES.keys()


@pytest.mark.parametrize(("name", "given"), LINES.items())
def test_other_value_is_refused_before_any_request_and_question(
    run: Run, hub: FakeHub, terminal: io.StringIO, name: str, given: tuple[str, ...]
) -> None:
    answering(terminal, "y")
    *command, parameter = name.split()
    ran = run(*command, *given)
    assert (ran.code, ran.out) == (2, "")
    assert "must be" in ran.err
    assert parameter.upper() in ran.err.upper()
    assert hub.received == []
    assert terminal.read() == "y\n"


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        *(
            (text, True)
            for text in (
                *("2027-01-01T00:00:00Z", "2027-01-01t23:59:59.123456789z", "2027-01-01T00:00:00+06:00"),
                "2027-01-01T00:00:00-23:59",
            )
        ),
        *(
            (text, False)
            for text in (
                *("2027-02-30T00:00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T25:61:61Z"),
                *("2027-01-01T23:59:60Z", "2027-01-01T00:00:00+24:00", "2027-01-01T00:00:00+0600"),
                *("2027-01-01T00:00:00", "2027-01-01 00:00:00Z", "2027-01-01T00:00Z"),
                *("0000-01-01T00:00:00Z", "2027-1-1T00:00:00Z", "\uff12027-01-01T00:00:00Z"),
            )
        ),
    ],
)
def test_command_takes_the_times_that_the_hub_takes(text: str, is_taken: bool) -> None:
    body = {"until": text, "reason": "other"}
    assert _takes(partial(load, ExtensionRequest), body) == is_taken
    assert _takes(checked_moment, text) == is_taken


def _takes(read: Callable[[Any], object], value: Any) -> bool:
    try:
        read(value)
    except (Refused, typer.BadParameter):
        return False
    return True


@pytest.mark.parametrize("line", [f"referral withdraw {ID}", f"coordination withdraw {ID} {OSH}"])
def test_withdrawal_for_a_withdrawn_consent_is_refused_with_the_command_for_it(
    run: Run, hub: FakeHub, line: str
) -> None:
    """The preview of a withdrawal does not say that the case is erased."""
    ran = run(*line.split(), "--reason", "consent_revoked", "--yes")
    assert ran.code == 2
    assert "`revoke-consent`" in ran.err
    assert hub.received == []
    assert run(line.split()[0], "revoke-consent", "--help").code == 0


@pytest.mark.parametrize(
    "line",
    [
        *(
            f"coordination extend {ID} --reason other --until {text}"
            for text in ("tomorrow", "2027-01-01", "2027-01-01T00:00:00", "2027-01-01T24:00:00Z")
        ),
        *(f"organization vet {OSH} --vetted-on {text}" for text in ("yesterday", "2026-3-7", "2026-02-30")),
    ],
)
def test_text_that_is_not_a_time_is_refused_before_any_request_and_question(
    run: Run, hub: FakeHub, terminal: io.StringIO, line: str
) -> None:
    answering(terminal, "y")
    ran = run(*line.split())
    assert (ran.code, ran.out) == (2, "")
    assert "2026-03-07" in ran.err
    assert hub.received == []
    assert terminal.read() == "y\n"
