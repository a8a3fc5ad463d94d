"""`kopuro listen`: carry the mailbox's messages to a program that has no public address."""

from __future__ import annotations

import contextlib
import math
from typing import Annotated

import typer

from kopuro_client.commands.mailbox import CONTRACT, TYPES
from kopuro_client.commands.session import Session
from kopuro_client.listening.amqp_target import AmqpTarget
from kopuro_client.listening.listener import Listener
from kopuro_client.listening.stopping import Stopped, Stopping
from kopuro_client.listening.target import target_of


def listen(
    session: Session,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="An HTTP endpoint of yours, or an amqp URL of your broker.")
    ],
    queue: Annotated[
        str | None, typer.Option(help="The queue of an amqp URL. It must exist.", show_default=False)
    ] = None,
    consumer: Annotated[
        str | None,
        typer.Option(
            help="Read as this named consumer instead of as the default one. It is created with --type and "
            "--contract if it does not exist; an existing one keeps its settings."
        ),
    ] = None,
    contract: CONTRACT = "1",
    types: TYPES = None,
    quiet_for: Annotated[
        float | None,
        typer.Option(
            "--for",
            min=1,
            help="Stop when no message has come for this many seconds and all that came are accepted.",
        ),
    ] = None,
) -> None:
    """Deliver each message of the mailbox to URL, and acknowledge it when URL has accepted it.

    An HTTP endpoint gets a POST with the CloudEvent (application/cloudevents+json) and accepts it with any
    status 2xx; a queue gets a persistent message and accepts it with the broker's confirm. Everything else is
    tried again, after half a second at first and a minute at most: nothing is skipped. The messages of one
    referral arrive in order; a refused one holds back the later ones of its referral only, stays in the
    mailbox and is reported on stderr. A message may arrive twice, with the same id. Runs until SIGTERM,
    through any outage of the hub (with --for, one that is no longer than that). For --for, an outage does not
    count as time without a message. Run one listener for each consumer.
    """
    stopping = session.stopping or Stopping()
    target = target_of(url, queue, AmqpTarget)
    wanted = types or []
    with contextlib.closing(target), stopping.handling():
        listener = Listener(
            session.hub,
            target,
            stopping=stopping,
            note=session.out.note,
            lost=session.lost,
            consumer=consumer,
            types=wanted,
        )
        with contextlib.suppress(Stopped):
            if consumer is not None:
                with stopping.interruptible():
                    _create_if_missing(session, consumer, types=wanted, contract=contract)
            session.out.note("listening; SIGTERM ends it after the message that is being delivered")
            listener.run(quiet_for=math.inf if quiet_for is None else quiet_for)
    held = listener.held
    session.out.note("stopped" + (f"; {held} messages wait in the mailbox" if held else ""))


def _create_if_missing(session: Session, consumer: str, *, types: list[str], contract: str | None) -> None:
    """Create the consumer. An existing one keeps its types: others may have set them, or rely on them."""
    if all(one["name"] != consumer for one in session.hub.consumers()):
        session.hub.put_consumer(consumer, types=types, contract=contract)
