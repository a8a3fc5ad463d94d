"""Messages that organisations of a sandbox make for themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.errors import Refused
from contracts.records import plain
from runtime.web.discovery import names_sandbox
from services.delivery.domain.selection import TYPES
from tests.golden_messages.examples import EXAMPLES
from tests.unit.services.delivery.workbench import ACCEPTOR, SENDER, Workbench, opened, withdrawn


def data_of(name: str) -> Any:
    (kind,) = TYPES[name]
    return plain(EXAMPLES[kind].data)


def test_triggered_message_of_every_type_is_in_the_own_mailbox_only(bench: Workbench) -> None:
    made = {bench.triggers.make(ACCEPTOR, name, data_of(name)): name for name in TYPES}
    found = bench.mailbox(ACCEPTOR, limit=len(made) + 1)
    assert {m["id"]: m["type"].removeprefix("kopuro.").rsplit(".v", 1)[0] for m in found} == made
    assert {m["source"] for m in found} == {"/kg/sandbox"}
    assert bench.mailbox(SENDER) == []


def test_triggered_message_has_the_data_that_was_given(bench: Workbench) -> None:
    given = plain(opened().data)
    bench.triggers.make(ACCEPTOR, "offer.opened", given)
    (message,) = bench.mailbox(ACCEPTOR)
    assert message["data"] == given
    bench.partner.acknowledge(ACCEPTOR, message["id"])
    assert bench.mailbox(ACCEPTOR) == []


def test_triggered_offer_is_closed_with_its_referral(bench: Workbench) -> None:
    bench.triggers.make(ACCEPTOR, "offer.opened", plain(opened().data))
    bench.receive(withdrawn())
    assert bench.mailbox(ACCEPTOR)[0]["type"] == "kopuro.message.closed.v1"


@pytest.mark.parametrize(
    ("name", "data", "pointer"),
    [
        ("offer", {}, "/type"),
        ("case.fetched", {}, "/type"),
        ("offer.opened", {}, "/data/deadline"),
        ("case.released", {"referral_id": "x", "organization": ACCEPTOR, "kid": "k"}, "/data/referral_id"),
    ],
)
def test_unknown_type_or_data_that_does_not_fit_is_refused(
    bench: Workbench, name: str, data: Any, pointer: str
) -> None:
    with pytest.raises(Refused) as refused:
        bench.triggers.make(ACCEPTOR, name, data)
    assert refused.value.slug == "invalid-submission"
    assert refused.value.errors[0].pointer == pointer
    assert bench.states() == []


def test_hub_that_is_not_a_sandbox_makes_no_message(bench: Workbench) -> None:
    bench.is_sandbox = False
    with pytest.raises(Refused, match="not a sandbox") as refused:
        bench.triggers.make(ACCEPTOR, "offer.opened", plain(opened().data))
    assert refused.value.slug == "not-found"
    assert bench.states() == []


@pytest.mark.parametrize(
    ("document", "sandbox"),
    [
        ('{"sandbox": true}', True),
        ('{"sandbox": "true"}', False),
        ('{"hub": "kg"}', False),
        ("[]", False),
        ("no JSON", False),
        (None, False),
    ],
)
def test_hub_is_a_sandbox_only_if_its_discovery_document_says_true(
    tmp_path: Path, document: str | None, sandbox: bool
) -> None:
    file = tmp_path / "discovery.json"
    if document is not None:
        file.write_text(document)
    assert names_sandbox(file) is sandbox
