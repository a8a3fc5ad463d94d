"""The session of a command: a connected client, the acting organisation and the output."""

from __future__ import annotations

import functools
import inspect
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from kopuro_client.arguments import encodable
from kopuro_client.client import Kopuro
from kopuro_client.commands.argument_forms import given_of, is_given, named_arguments
from kopuro_client.commands.credentials import ANYBODY, Identity, from_environment, from_file
from kopuro_client.commands.nearest_organizations import unknown_organizations
from kopuro_client.commands.output import Output
from kopuro_client.commands.streams import OutputError
from kopuro_client.errors import ClientError, DefectError, InvalidArgumentError
from kopuro_client.listening.stopping import Stopping
from kopuro_client.retrying import RetryPolicy
from kopuro_client.transport import Transport

P = ParamSpec("P")

_CONNECTION = "Connection"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    hub: Kopuro
    out: Output
    organization: str | None  # the organisation that the command acts for, if known
    stopping: Stopping | None = None  # of a command that SIGTERM ends in an orderly way
    lost: Callable[[], float] = float  # seconds that outages have taken so far; of a lasting command


def connected(
    command: Callable[Concatenate[Session, P], None],
    *,
    anonymous: bool = False,
    lasting: bool = False,
    stoppable: bool = False,
) -> Callable[..., None]:
    """Return the command with the connection options and --json added, to be called with a Session.

    anonymous: the command needs no credentials. lasting: the command retries through any outage of the hub
    and reports it on stderr. stoppable: a lasting command that handles SIGTERM with the session's `stopping`.
    """

    @functools.wraps(command)
    def run(
        context: typer.Context,
        discovery: str | None,
        acting_as: str | None,
        credentials: Path | None,
        sealing_key: Path | None,
        as_json: bool,
        **arguments: Any,
    ) -> None:
        if discovery is None:
            raise InvalidArgumentError("no hub given: use --discovery URL or set KOPURO_DISCOVERY_URL")
        if as_json and arguments.get("as_csv"):
            raise InvalidArgumentError("--csv and --json cannot be combined")
        _check_texts(arguments)
        identity = ANYBODY
        if not anonymous:
            given = {name for name in ("acting_as", "credentials", "sealing_key") if is_given(context, name)}
            identity = _identity(acting_as, credentials, sealing_key, given=given)
        out = Output(as_json=as_json)
        stopping = Stopping() if stoppable else None
        transport = _lasting_transport(arguments.get("quiet_for"), out, stopping) if lasting else None
        with Kopuro.discover(
            discovery,
            identity.client_id,
            identity.client_secret,
            client_key=identity.client_key,
            sealing_key=identity.sealing_key,
            previous_keys=identity.previous_keys,
            transport=transport,
        ) as hub:
            session = Session(
                hub=hub,
                out=out,
                organization=identity.organization,
                stopping=stopping,
                lost=float if transport is None else transport.lost,
            )
            given_values = given_of(context, arguments)
            with (
                _contracted_responses(),
                _output_after_requests(),
                named_arguments(given_values),
                unknown_organizations(hub, given_values),
            ):
                command(session, **arguments)  # type: ignore[call-arg]  # P is rebuilt from typer's keywords

    return _Connected(command, run)


class _Connected:
    """A command whose signature has the connection options and --json too.

    Typer reads a command's options from its signature and annotations, which take 2 ms to evaluate. It
    builds only the commands that a command line needs, so the others' are never evaluated.
    """

    def __init__(self, command: Callable[..., None], run: Callable[..., None]) -> None:
        functools.update_wrapper(self, run, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        self._command = command
        self._run = run

    def __call__(self, **arguments: Any) -> None:
        self._run(**arguments)

    @functools.cached_property
    def __signature__(self) -> inspect.Signature:
        own = list(inspect.signature(self._command, eval_str=True).parameters.values())[1:]
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        return inspect.Signature([*own, context, *_shared_parameters()])

    @property
    def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]  # read-only
        return {name: parameter.annotation for name, parameter in self.__signature__.parameters.items()}


@functools.cache
def _shared_parameters() -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(_shared_options, eval_str=True).parameters.values())


@contextmanager
def _contracted_responses() -> Iterator[None]:
    """Raises DefectError if a response lacks a member, because commands read them unchecked."""
    try:
        yield
    except ClientError:
        raise  # some are ValueErrors too
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if os.environ.get("KOPURO_TRACEBACK"):
            raise
        raise DefectError(f"the hub's response violates its contract ({type(error).__name__})") from error


@contextmanager
def _output_after_requests() -> Iterator[None]:
    """Write the output within the block. An OutputError then says that requests may have taken effect."""
    try:
        yield
        sys.stdout.flush()
    except OutputError as error:
        raise OutputError(f"{error}; the command's requests to the hub may have taken effect") from error


def _shared_options(
    *,
    discovery: Annotated[
        str | None,
        typer.Option(
            envvar="KOPURO_DISCOVERY_URL",
            help="URL of the hub's discovery document.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None,
    acting_as: Annotated[
        str | None,
        typer.Option(
            "--as",
            envvar="KOPURO_AS",
            help="Act for this organisation (or coordinator, auditor, operator).",
            rich_help_panel=_CONNECTION,
        ),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            envvar="KOPURO_CREDENTIALS",
            help="Credentials file in the format that `kopuro up` writes. Without --as, KOPURO_CLIENT_ID and "
            "KOPURO_CLIENT_SECRET are used.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None,
    sealing_key: Annotated[
        Path | None,
        typer.Option(
            envvar="KOPURO_SEALING_KEY",
            help="File with the private sealing key (JWK), or with several as a JWK set, the present one "
            "first. The option replaces the key in the credentials "
            "file; KOPURO_SEALING_KEY is used only without a credentials file.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's JSON.")] = False,
) -> None:
    """Declare the options that all connected commands share; only the signature is used."""


def _check_texts(arguments: Mapping[str, Any]) -> None:
    """Raises InvalidArgumentError for an argument that is not UTF-8. A name of a file may be any bytes."""
    for name, value in arguments.items():
        for word in value if isinstance(value, list) else [value]:
            if isinstance(word, str) and name != "file":
                encodable(word, f"the value of {name.replace('_', '-')}")


def _identity(
    acting_as: str | None, credentials: Path | None, sealing_key: Path | None, *, given: set[str]
) -> Identity:
    """Return the identity to act as. given: the options on the command line, which win over variables."""
    if acting_as is None and "credentials" in given:
        raise InvalidArgumentError("--credentials needs --as ORGANISATION (or KOPURO_AS)")
    if acting_as is not None:
        if credentials is None:
            raise InvalidArgumentError("--as needs --credentials FILE (or KOPURO_CREDENTIALS)")
        return from_file(credentials, acting_as, sealing_key if "sealing_key" in given else None)
    identity = from_environment(os.environ, sealing_key)
    if identity is None:
        raise InvalidArgumentError(
            "no credentials given: use --as ORGANISATION --credentials FILE, "
            "or set KOPURO_CLIENT_ID and KOPURO_CLIENT_SECRET (or KOPURO_CLIENT_KEY)"
        )
    return identity


def _lasting_transport(quiet_for: float | None, out: Output, stopping: Stopping | None) -> Transport:
    """A transport that outlasts an outage: of any length, or of `quiet_for` seconds."""
    patience = math.inf if quiet_for is None else quiet_for
    return Transport(
        retry=RetryPolicy.lasting(patience),
        notice=out.note,
        sleep=time.sleep if stopping is None else stopping.sleep,
    )
