"""The states of an application, what remains of it, and the organisation that it becomes."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from contracts.application import ApplicationRejection, ApplicationVetting
from contracts.codes import ApplicationRefusal, ApplicationState, ApplicationStep, OrganizationKind, Vetting
from contracts.errors import Refused
from services.directory.domain.application import (
    OPEN,
    TRANSITIONS,
    as_organization,
    commitment,
    rejected,
)
from tests.unit.services.directory.application_samples import APPLICANT, NOON, content, kept

KEPT = dt.timedelta(days=30)
EVERY = [(state, step) for state in ApplicationState for step in ApplicationStep]


@pytest.mark.parametrize(("state", "step"), EVERY)
def test_step_follows_the_table_or_changes_nothing(state: ApplicationState, step: ApplicationStep) -> None:
    before = kept(state=state)
    following = TRANSITIONS[state].get(step)
    if following is None:
        with pytest.raises(Refused) as refusal:
            before.step(step, by="kg.desk", at=NOON, kept=KEPT)
        assert refusal.value.slug == "conflict"
        return
    after = before.step(step, by="kg.desk", at=NOON, kept=KEPT)
    assert (after.state, after.decided_by, after.decided_at) == (following, "kg.desk", NOON)
    assert after.expires_at == (before.expires_at if following in OPEN else NOON + KEPT)


def test_content_goes_with_every_end_but_a_refusal() -> None:
    for step, is_kept in {
        ApplicationStep.vetting_requested: True,
        ApplicationStep.refused: True,
        ApplicationStep.vetted: False,
        ApplicationStep.withdrawn: False,
        ApplicationStep.expired: False,
    }.items():
        after = kept().step(step, by=None, at=NOON, kept=KEPT)
        assert (after.content is not None, after.salt is not None) == (is_kept, is_kept), step


def test_refusal_has_its_reason_and_note() -> None:
    wanted = ApplicationRejection(reason=ApplicationRefusal.not_verified, note="Please call.")
    ended = rejected(kept(), wanted, by="kg.desk", at=NOON, kept=KEPT)
    assert (ended.state, ended.reason, ended.note) == (
        ApplicationState.refused,
        ApplicationRefusal.not_verified,
        "Please call.",
    )


def test_reference_of_another_application_does_not_open_it() -> None:
    assert kept("1").opens_with("reference of 1")
    assert not kept("1").opens_with("reference of 2")
    assert not kept("1").opens_with("\ud800")


def test_commitment_depends_on_id_content_and_salt() -> None:
    first = commitment("1", content(), "A" * 43)
    assert first == commitment("1", content(), "A" * 43)
    others = {
        commitment("2", content(), "A" * 43),
        commitment("1", content(name="Another"), "A" * 43),
        commitment("1", content(), "B" + "A" * 42),
    }
    assert first not in others
    assert len(others) == 3


def test_organization_has_what_was_proposed_and_nothing_of_the_contact() -> None:
    made = as_organization(
        content(parent="kg.osh-legal-aid"), ApplicationVetting(), by="kg.desk", on=NOON.date()
    )
    assert (made.id, made.parent, made.kind) == (APPLICANT, "kg.osh-legal-aid", OrganizationKind.ngo)
    assert (made.vetting, made.vetted_by, made.vetted_on) == (Vetting.vetted, "kg.desk", NOON.date())
    assert made.sealing_key is None
    assert made.services == ()
    assert "talas.example" not in repr(made)


def test_staff_decide_about_id_and_parent() -> None:
    proposed = content(parent="kg.osh-legal-aid")
    other = as_organization(
        proposed, ApplicationVetting(id="kg.other", parent="kg.p"), by="x", on=NOON.date()
    )
    assert (other.id, other.parent) == ("kg.other", "kg.p")
    alone = as_organization(proposed, ApplicationVetting(without_parent=True), by="x", on=NOON.date())
    assert alone.parent is None


def test_organization_without_an_id_is_refused() -> None:
    nameless = replace(content(), proposed_id=None)
    with pytest.raises(Refused) as refusal:
        as_organization(nameless, ApplicationVetting(), by="x", on=NOON.date())
    assert refusal.value.errors[0].pointer == "/id"
