from __future__ import annotations

from enum import StrEnum

import pytest

from contracts import codes, vocabularies

# The label files, by the code list that each of them labels.
LABELLED: dict[str, type[StrEnum]] = {
    "age_bands": codes.AgeBand,
    "decline_reasons": codes.DeclineReason,
    "organization_kinds": codes.OrganizationKind,
    "outcomes": codes.Outcome,
    "referral_statuses": codes.ReferralStatus,
    "sexes": codes.Sex,
    "special_categories": codes.SpecialCategory,
    "stages": codes.Stage,
    "urgencies": codes.Urgency,
    "withdrawal_reasons": codes.WithdrawalReason,
}
# Lists of their own, which no code list in Python repeats.
OPEN = {"languages", "needs", "regions"}


@pytest.mark.parametrize("name", sorted(LABELLED))
def test_labels_list_the_codes_in_order(name: str) -> None:
    assert list(vocabularies.rows(name)) == [code.value for code in LABELLED[name]]


def test_every_vocabulary_file_belongs_to_a_code_list() -> None:
    assert {path.stem for path in vocabularies.FOLDER.glob("*.csv")} == LABELLED.keys() | OPEN


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
