"""`kopuro witness`: check that a hub's log only grows, and cosign its checkpoints."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands.input_file import read_text
from kopuro_client.commands.new_file import write_secret
from kopuro_client.commands.output import Output
from kopuro_client.commands.trust import read_key
from kopuro_client.commands.verdict import judged
from kopuro_client.commands.verify import open_source
from kopuro_client.commands.verify_options import AS_JSON
from kopuro_client.errors import (
    DefectError,
    InvalidArgumentError,
    TransportError,
    UnavailableError,
)
from kopuro_client.tlog.durable_file import write_durably
from kopuro_client.tlog.errors import TlogError
from kopuro_client.tlog.keys import Algorithm, SigningKey

KEY = Annotated[
    Path,
    typer.Option(
        help="File with your private key, from `kopuro witness key generate`.", envvar="KOPURO_WITNESS_KEY"
    ),
]
STATE = Annotated[
    Path,
    typer.Option(help="Directory of the cosigned checkpoints. Never restore it from a backup."),
]


def group() -> typer.Typer:
    """Return the commands under `kopuro witness`."""
    commands = typer.Typer(no_args_is_help=True, help="Cosign a hub's log, so that forks are detected.")
    keys = typer.Typer(no_args_is_help=True, help="Manage the key that you cosign with.")
    keys.command("generate")(generate)
    commands.add_typer(keys, name="key")
    commands.command("serve")(serve)
    commands.command("run")(run)
    return commands


def generate(
    file: Annotated[
        Path, typer.Argument(help="New file for the private key; existing files are not overwritten.")
    ],
    name: Annotated[str, typer.Option(help="Your name as a witness, such as union.example/witness.")],
) -> None:
    """Generate a witness's key. Writes the private key to FILE and the verifier key to stdout."""
    try:
        key = SigningKey.generate(name)
    except TlogError as error:
        raise InvalidArgumentError(str(error)) from error
    write_secret(file, (key.secret_text() + "\n").encode(), public=str(key.verifier))


def serve(
    key: KEY,
    log_key: Annotated[
        list[str],
        typer.Option(help="Verifier key of a log to witness, or a file that contains it. Repeatable."),
    ],
    state: STATE,
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 chooses a free port.")] = "127.0.0.1:8090",
) -> None:
    """Serve a hub's requests for cosignatures (C2SP tlog-witness) until Ctrl-C or SIGTERM."""
    from kopuro_client import witness  # needs POSIX locks; the rest of the command does not

    out = Output(as_json=False)
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise InvalidArgumentError(f"{listen!r} is not HOST:PORT")
    signer = _signing_key(key)
    cosigner = witness.Witness(
        key=signer,
        logs=[read_key(text) for text in log_key],
        record=witness.WitnessRecord(state),
        now=lambda: int(time.time()),
    )
    try:
        server = witness.serve(cosigner, host.strip("[]"), int(port), complain=out.note)
    except OSError as error:
        raise InvalidArgumentError(f"cannot listen on {listen}: {error.strerror}") from error
    # In a thread: `shutdown` waits for the server's loop to end, and the signal handler runs in that loop.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    shown = f"[{host.strip('[]')}]" if ":" in host.strip("[]") else host
    out.text(f"http://{shown}:{server.server_address[1]} answers as {signer.verifier}")
    with server:
        server.serve_forever()


def run(
    where: Annotated[str, typer.Argument(help="The log's URL, the hub's discovery URL, or a directory.")],
    key: KEY,
    log_key: Annotated[str, typer.Option(help="The log's verifier key, or a file that contains it.")],
    state: STATE,
    every: Annotated[float, typer.Option(help="Seconds between checks.", min=1.0)] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Check once and exit.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="File for the cosigned checkpoint, instead of stdout.")
    ] = None,
    as_json: AS_JSON = False,
) -> None:
    """Fetch and cosign a log's checkpoint periodically. For witnesses that the hub cannot connect to."""
    from kopuro_client import witness

    out = Output(as_json=as_json)
    log = read_key(log_key)
    cosigner = witness.Witness(
        key=_signing_key(key), logs=[log], record=witness.WitnessRecord(state), now=lambda: int(time.time())
    )
    with open_source(where) as source:
        follower = witness.Follower(witness=cosigner, source=source, log_key=log)
        while True:
            with judged(out):
                try:
                    note = str(follower.turn().note)
                except (TransportError, UnavailableError, DefectError) as error:
                    if once:
                        raise
                    out.note(f"kopuro: {error}; will retry at the next check")
                    note = None
            if note is not None and output is not None:
                write_durably(output, note.encode())
            elif note is not None and as_json:
                out.json_line({"checkpoint": note})
            elif note is not None:
                out.text(note.rstrip("\n"))
            if once:
                return
            time.sleep(every)


def _signing_key(file: Path) -> SigningKey:
    try:
        key = SigningKey.parse(read_text(file).strip())
    except TlogError as error:
        raise InvalidArgumentError(f"{file}: {error}") from error
    if key.algorithm is not Algorithm.COSIGNATURE:
        raise InvalidArgumentError(f"{file} contains a note-signing key; a witness needs a cosignature key")
    return key
