"""A complete hub that journey tests share, and its participants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import sqlalchemy as sa
from rich.console import Console

from admin.embedded_broker import LOOPBACK
from contracts.records import plain
from kopuro_client import Kopuro
from sandbox import network
from sandbox.demo.output import DemoOutput
from sandbox.demo.participants import Participant, Participants
from sandbox.demo.stories import DemoHub
from sandbox.hub import Hub
from sandbox.hub_files import SERVICES
from tests.journey.waiting import until
from tests.support.partners import ask_for_token

# A member of the sample network that has no part in the referrals of these journeys.
STRANGER = "uz.silk-needle-union"


class RunningHub:
    """One hub on one kind of database.

    databases: SQLAlchemy URL by service. broker: URI of a broker user with every right.
    """

    def __init__(self, hub: Hub, *, databases: Mapping[str, str], broker: str | None = None) -> None:
        self.hub = hub
        self.broker = broker
        self.files = hub.files
        self.databases = databases
        self.network = network.load()
        self.people = self.files.people()
        names = {organization.id: organization.name for organization in self.network.organizations}
        self.participants = Participants(self.files.discovery_address(), self.people, names)
        self.demo = DemoHub(
            participants=self.participants, network=self.network, output=DemoOutput(Console(quiet=True))
        )

    def organization(self, organization_id: str) -> Participant:
        return self.participants.organization(organization_id)

    def facts(self, key: str) -> dict[str, Any]:
        """Return the facts of a sample referral, as its sender submits them."""
        facts: dict[str, Any] = plain(self.network.referral(key).facts)
        return facts

    def submit(
        self, key: str, *, case: Mapping[str, Any] | None = None, **facts: Any
    ) -> tuple[Participant, str]:
        """Submit a sample referral, with other facts or another case if given; return its sender and id."""
        sample = self.network.referral(key)
        sender = self.organization(sample.sender)
        accepted = sender.hub.submit({**self.facts(key), **facts}, case=case or plain(sample.case))
        return sender, accepted["id"]

    def next_offer(self, sender: Participant, referral_id: str) -> tuple[Participant, str]:
        """Return the organisation with the open offer and the offer's id, as read from its mailbox."""
        participant = self.demo.offers(sender, referral_id)[0]
        return participant, participant.await_message("offer.opened", referral_id)["offer_id"]

    def accepted(self, key: str, **facts: Any) -> tuple[Participant, Participant, str]:
        """Submit a referral and accept it as its first candidate; return sender, acceptor and id."""
        sender, referral_id = self.submit(key, **facts)
        acceptor, offer_id = self.next_offer(sender, referral_id)
        acceptor.hub.accept(offer_id)
        acceptor.await_message("case.released", referral_id)
        sender.await_message("offer.accepted", referral_id)
        return sender, acceptor, referral_id

    def vault_keeps(self, referral_id: str) -> bool:
        """Return whether the vault's database holds a sealed case of the referral."""
        engine = sa.create_engine(self.databases["vault"])
        try:
            with engine.connect() as connection:
                question = sa.text("SELECT count(*) FROM sealed_cases WHERE referral_id = :id")
                return bool(connection.execute(question, {"id": referral_id}).scalar_one())
        finally:
            engine.dispose()

    def history(self, referral_id: str, *, last: str) -> Sequence[Mapping[str, Any]]:
        """Return the audit log's entries about a referral once the fact `last` is among them."""
        auditor: Kopuro = self.participants.staff("auditor")

        def entries_with_last() -> list[Mapping[str, Any]] | None:
            entries: list[Mapping[str, Any]] = []
            after = None
            while True:
                page = auditor.history(referral=referral_id, limit=50, after=after)
                entries.extend(dict(entry) for entry in page["items"])
                if (after := page["next"]) is None:
                    break
            return entries if any(entry["type"] == f"kopuro.{last}.v1" for entry in entries) else None

        return until(entries_with_last, f"{last} in the history of {referral_id}")

    def pid(self, service: str) -> int:
        """Return the pid of a service's current process."""
        assert self.hub.supervisor is not None
        (pid,) = [status.pid for status in self.hub.supervisor.status() if status.name == service]
        assert pid is not None
        return pid

    def restarts(self, service: str) -> int:
        """Return how often a service was restarted."""
        assert self.hub.supervisor is not None
        (restarts,) = [status.restarts for status in self.hub.supervisor.status() if status.name == service]
        return restarts

    def operations(self, service: str, path: str) -> httpx.Response:
        """Return the response of a service's operations port."""
        return httpx.get(f"http://{LOOPBACK}:{self.files.ports(service).operations}{path}", timeout=10)

    def address(self, service: str) -> str:
        """Return the public base URL of a service."""
        return f"http://{LOOPBACK}:{self.files.ports(service).http}"

    def token(self, who: str) -> str:
        """Return an access token of an organisation, or of the coordinator, auditor or operator."""
        entry = self.people["organizations"].get(who) or self.people[who]
        answer = ask_for_token(self.address("directory"), entry["client_id"], entry["client_secret"])
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def logs(self) -> str:
        """Return the logs of all services."""
        return "".join(self.files.log(service).read_text(encoding="utf-8") for service in SERVICES)
