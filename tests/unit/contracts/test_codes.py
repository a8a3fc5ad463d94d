from __future__ import annotations

from enum import StrEnum

from contracts import codes


def test_enum_member_name_equals_its_code() -> None:
    for cls in vars(codes).values():
        if isinstance(cls, type) and issubclass(cls, StrEnum) and cls is not StrEnum:
            for code in cls:
                # a name cannot begin with a digit
                assert code.name.removeprefix("years_") == code.value


def test_every_referral_status_has_a_fhir_task_status() -> None:
    # FHIR R5, value set task-status
    task_status = {
        "draft",
        "requested",
        "received",
        "accepted",
        "rejected",
        "ready",
        "cancelled",
        "in-progress",
        "on-hold",
        "failed",
        "completed",
        "entered-in-error",
    }
    assert codes.FHIR_TASK_STATUS.keys() == set(codes.ReferralStatus)
    assert set(codes.FHIR_TASK_STATUS.values()) <= task_status


def test_every_progress_status_is_a_referral_status() -> None:
    assert {p.value for p in codes.ProgressStatus} <= {s.value for s in codes.ReferralStatus}
