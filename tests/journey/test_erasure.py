"""After a referral has ended, no file of a service contains its case, sealed or resealed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contracts.records import plain
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

REFERRAL = "wage-claim-osh-moscow"
# So long that no piece occurs by chance, and so short that some pieces are whole on one page of a file.
_PIECE = 20


@pytest.mark.parametrize("hub", ["sqlite"], indirect=True)
def test_case_data_is_in_no_file_after_the_referral_ends(hub: RunningHub) -> None:
    sample = hub.network.referral(REFERRAL)
    sender = hub.organization(sample.sender)
    sealed = sender.hub.seal(plain(sample.case))
    referral_id = sender.hub.submit(hub.facts(REFERRAL), sealed=sealed)["id"]
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    assert "vault" in _services_that_keep(hub, sealed)

    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    letter = acceptor.hub.sealed_case(referral_id)
    assert "delivery" in _services_that_keep(hub, letter)
    sender.hub.revoke_consent(referral_id)

    until(lambda: not _services_that_keep(hub, sealed, letter), "the end of every trace of the case")


def _services_that_keep(hub: RunningHub, *cases: str) -> list[str]:
    """Return the services with a file that contains part of a wrapped key or a ciphertext."""
    pieces = [piece for case in cases for piece in _pieces(case)]
    found = []
    for service, url in hub.databases.items():
        database = Path(urlsplit(url).path)
        files = [file.read_bytes() for file in database.parent.glob(f"{database.name}*")]
        assert files, service
        if any(piece in file for file in files for piece in pieces):
            found.append(service)
    return found


def _pieces(case: str) -> Sequence[bytes]:
    # The header is the same for every case that is sealed to the same key.
    _, wrapped_key, _, ciphertext, _ = case.encode().split(b".")
    return [
        part[start : start + _PIECE]
        for part in (wrapped_key, ciphertext)
        for start in range(0, len(part) - _PIECE + 1, _PIECE)
    ]
