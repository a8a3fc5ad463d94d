"""Submissions over AMQP in plain FastStream: a subscriber that stores, publishes the event and answers.

`python -m benchmarks.peers.faststream_submissions AMQP_URI DATABASE ORGANISATION` prints a line once it
consumes `submissions`, and ends with its standard input. A submission is acknowledged after its row is
committed and its event and its answer are confirmed. Nothing else is done: no idempotency key, no mailbox,
no check of the sender's access, no routing, no log.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

import orjson
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

from benchmarks.peers import steps
from benchmarks.peers.records import open_database
from contracts.envelope import CONTENT_TYPE

PREFETCH: Final = 100
SUBMIT: Final = RabbitExchange("submit", type=ExchangeType.TOPIC, durable=True)
SUBMISSIONS: Final = RabbitQueue("submissions", durable=True, routing_key="#")


async def serve(amqp_uri: str, database: Path, organization: str) -> None:
    """Admit submissions until standard input ends."""
    records = open_database(database)
    broker = RabbitBroker(
        amqp_uri,
        default_channel=Channel(prefetch_count=PREFETCH, publisher_confirms=True),
        logger=None,
    )
    mailbox, events = (
        RabbitQueue(f"mailbox.{organization}", durable=True),
        RabbitQueue("events", durable=True),
    )

    @broker.subscriber(SUBMISSIONS, SUBMIT)
    async def admit(message: RabbitMessage) -> None:
        submission = orjson.loads(message.body)
        del submission["submit"]
        with records.write() as transaction:
            event = steps.submit(transaction, organization, orjson.dumps(submission))
        await broker.publish(
            event.encode(), queue=events, persist=True, content_type=CONTENT_TYPE, message_id=event.id
        )
        answer = {"data": {"message_id": message.message_id, "submission_id": event.partition_key}}
        await broker.publish(orjson.dumps(answer), queue=mailbox, persist=True, content_type=CONTENT_TYPE)

    await broker.connect()
    for queue in (mailbox, events):
        await broker.declare_queue(queue)
    await broker.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await broker.stop()


if __name__ == "__main__":
    uri, file, sender = sys.argv[1:]
    asyncio.run(serve(uri, Path(file), sender))
