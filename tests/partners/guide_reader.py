"""A reader of docs/integrating.md who runs every block from top to bottom, and plays both organisations.

Between the blocks the reader does what the text asks for: becomes the organisation that got an offer, gets
its token, and takes ids from messages. Everything else runs as printed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.partners.page import Block, blocks_of
from tests.partners.shell import Shell
from tests.support.node import REPOSITORY
from tests.support.webhook_receiver import Received, WebhookReceiver, repeating_challenge

GUIDE: Final = REPOSITORY / "docs/integrating.md"
SENDER: Final = "kg.osh-legal-aid"
RECEIVER: Final = "ru.moscow-common-table"
_UNENDING: Final = ("kopuro mailbox watch", "kopuro listen ")
_TOKEN: Final = "TOKEN=$(curl"


def _refusing(request: Received) -> tuple[int, bytes]:
    """Answer challenges, and refuse everything else, so that notices wait for their next attempt."""
    status, answer = repeating_challenge(request)
    return (status if answer else 500), answer


class GuideReader:
    """joined: the client_id and client_secret of an organisation that has no sealing key yet."""

    def __init__(self, hub: RunningHub, shell: Shell, directory: Path, joined: Mapping[str, str]) -> None:
        self._hub = hub
        self._shell = shell
        self._directory = directory
        self._joined = joined
        self._endpoint = WebhookReceiver(_refusing)
        self._received = WebhookReceiver()
        self._token_commands = ""
        self.ran: list[int] = []
        # Steps before the block that contains the text; each block is read once, in this order.
        self._steps: list[tuple[str, Callable[[], None]]] = [
            (_TOKEN, self._join),
            ("> public-key.json", lambda: self._sh("mv sealing-key.json first-key.json")),
            ("key replace --old", lambda: self._sh("mv first-key.json sealing-key.json")),
            ("organization update", lambda: self._write("changes.json", {"description": "Wages (invented)"})),
            ('"narrative"', lambda: self._become(SENDER)),
            ("export KOPURO_AS=ru.moscow", self._find_offer),
            ("kopuro mailbox watch", lambda: self._become(self._asked)),
            ("organization connect", lambda: self._sh(f"ln -s {self._hub.files.directory} var")),
            ("kopuro trigger", lambda: self._write("offer.json", self._offer["data"])),
            ("webhook attempts", self._wait_for_notice),
            ("kopuro offer decline", self._be_offered),
            ("kopuro case show", self._accept),
            ("/progress", self._accept),
            ("hand-back $REFERRAL", self._accept),
            ("referrals.ndjson", self._write_batch),
        ]

    def read(self) -> None:
        """Run every block. Fails at the first that fails."""
        with self._endpoint, self._received:
            for block in blocks_of(GUIDE):
                if self._steps and self._steps[0][0] in block.text:
                    self._steps.pop(0)[1]()
                self._run(block)
                self.ran.append(block.line)
        assert self._steps == [], f"the guide has no block with {self._steps[0][0]}"

    def _run(self, block: Block) -> None:
        if block.file is not None:
            (self._directory / block.file).write_text(block.text, encoding="utf-8")
            return
        if _TOKEN in block.text:
            self._token_commands = block.text
        kept: list[str] = []
        for line in map(self._here, block.text.splitlines()):
            if not line.startswith(_UNENDING):
                kept.append(line)
                continue
            self._shell.run("\n".join(kept))
            kept = []
            if line.startswith("kopuro listen "):
                self._listen(line)
            else:
                with self._shell.unending(line) as printed:
                    until(lambda told=printed: bool(told()), "an output")  # type: ignore[misc]
        self._shell.run("\n".join(kept))

    def _listen(self, command: str) -> None:
        """Run a listener until it has delivered a message."""
        before = len(self._received.received)
        self._trigger()
        with self._shell.unending(command):
            self._received.until(lambda all_: len(all_) > before)

    def _here(self, line: str) -> str:
        """Return a line for this hub: no placeholders, the test's own servers, no long wait."""
        if line.startswith(("export KOPURO_DISCOVERY_URL=", "export KOPURO_CREDENTIALS=")):
            return ""
        if line.startswith(("export KOPURO_CLIENT_ID=kg.", "export KOPURO_CLIENT_SECRET=...")):
            return ""
        if line.startswith("kopuro listen http://"):
            words = line.split(" ")
            line = " ".join([*words[:2], self._received.url, *words[3:]])
        line = line.replace("https://cases.example.org/kopuro", self._endpoint.url)
        return line.replace("wait=30", "wait=1")

    def _join(self) -> None:
        """Go on as the organisation that has just joined, with a client id and a secret."""
        self._sh("unset KOPURO_AS KOPURO_CREDENTIALS")
        self._shell.set(
            KOPURO_CLIENT_ID=self._joined["client_id"], KOPURO_CLIENT_SECRET=self._joined["client_secret"]
        )

    def _become(self, organization: str) -> None:
        """Go on as an organisation of the sandbox: section 1 again."""
        credentials = self._hub.people["organizations"][organization]
        self._sh("unset KOPURO_SEALING_KEY")
        self._shell.set(
            KOPURO_AS=organization,
            KOPURO_CREDENTIALS=str(self._hub.files.credentials),
            KOPURO_CLIENT_ID=credentials["client_id"],
            KOPURO_CLIENT_SECRET=credentials["client_secret"],
        )
        self._sh(self._token_commands)
        self._asked = organization

    def _find_offer(self) -> None:
        """Find the organisation that was asked, as `referral show` tells, and its offer."""
        sender = self._hub.organization(SENDER)
        asked = self._hub.demo.offers(sender, self._shell.get("REFERRAL"))[0]
        self._asked = asked.id
        self._offer = self._await("offer.opened", self._shell.get("REFERRAL"))
        self._shell.set(MESSAGE=self._offer["id"], OFFER=self._offer["data"]["offer_id"])

    def _be_offered(self) -> None:
        """Get a new offer."""
        facts = self._hub.facts("wage-claim-osh-moscow")
        sender = self._hub.organization(SENDER).hub
        sent = sender.submit({**facts, "to": self._asked}, case={"name": "Азамат (invented)", **_CASE})
        offer = self._await("offer.opened", sent["id"])
        self._shell.set(REFERRAL=sent["id"], OFFER=offer["data"]["offer_id"])

    def _accept(self) -> None:
        """Get a new offer, accept it, and wait for the case."""
        self._be_offered()
        self._hub.organization(self._asked).hub.accept(self._shell.get("OFFER"))
        self._await("case.released", self._shell.get("REFERRAL"))

    def _wait_for_notice(self) -> None:
        """Wait until the endpoint is verified and has refused a message, whose notice then waits."""
        self._endpoint.until(lambda all_: any(one.type == "kopuro.webhook.challenge" for one in all_))
        message = self._trigger()
        self._endpoint.until(lambda all_: any(one.id == message for one in all_))
        self._shell.set(MESSAGE=message)

    def _trigger(self) -> str:
        hub = self._hub.organization(self._asked).hub
        return hub.trigger("offer.opened", self._offer["data"])

    def _write_batch(self) -> None:
        submission = json.loads((self._directory / "sealed.json").read_text(encoding="utf-8"))
        self._write("referrals.ndjson", submission)

    def _await(self, name: str, referral: str) -> Any:
        """Return a message from the mailbox of the organisation that was asked, without acknowledging it."""
        headers = {"Authorization": f"Bearer {self._hub.token(self._asked)}"}
        address = f"{self._hub.address('delivery')}/v1/mailbox"

        def look() -> Any:
            after: dict[str, str] = {}
            while True:
                page = httpx.get(address, params={"type": name, **after}, headers=headers, timeout=30).json()
                for message in page["items"]:
                    if message["data"]["referral_id"] == referral:
                        return message
                if page["next"] is None:
                    return None
                after = {"after": page["next"]}

        return until(look, f"{name} of {referral}")

    def _write(self, name: str, content: Any) -> None:
        (self._directory / name).write_text(json.dumps(content) + "\n", encoding="utf-8")

    def _sh(self, commands: str) -> None:
        self._shell.run(commands)


_CASE: Final = {
    "phones": ["+996700000000"],
    "safe_contact": "After eight in the evening.",
    "narrative": "Two months' wages were not paid.",
    "documents": [],
}
