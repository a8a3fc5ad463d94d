"""`kopuro trigger`: make a message in a sandbox."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.input_file import read_json_or_stdin
from kopuro_client.commands.session import Session


def trigger(
    session: Session,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="The message's name, such as offer.opened.")],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The data of the CloudEvent: a JSON object, - for stdin.")
    ],
) -> None:
    """Put a message of your own into your mailbox, to try your program. Only in a sandbox (kopuro up).

    The data must fit the message's published schema. Nobody else gets the message; it is not in the log, and
    its source is /kg/sandbox.
    """
    message_id = session.hub.trigger(type_, read_json_or_stdin(file))
    if session.out.as_json:
        session.out.document({"id": message_id})
    else:
        session.out.note(f"message {message_id} is in your mailbox")
