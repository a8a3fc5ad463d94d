"""The commands `kopuro admin amqp`: the gateway's files, and passwords at the partners' broker.

`kopuro organization connect --amqp` connects an organisation (`organization_commands`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from admin.command_options import Documents
from admin.partner_access import (
    DataDir,
    Management,
    Organization,
    PasswordHash,
    broker_faults,
    new_or_hashed,
    show_access,
    users_of,
)


def register(admin: typer.Typer) -> None:
    """Add the commands to `kopuro admin`."""
    amqp = typer.Typer(
        no_args_is_help=True, help="Operators: set up AMQP for partners, and replace passwords."
    )
    amqp.command("init")(init_gateway)
    amqp.command("password")(password)
    admin.add_typer(amqp, name="amqp")


def init_gateway(
    directory: Annotated[
        Path, typer.Argument(help="Directory for the files; created with mode 0700.", file_okay=False)
    ],
    hub: Annotated[str, typer.Option(help="Country code of the hub, two lower-case letters.")],
    broker: Annotated[str, typer.Option(help="The partners' broker: amqps://HOST:5671, without a user.")],
    management: Annotated[
        str, typer.Option(help="Its management API, without a user, such as https://HOST:15671.")
    ],
    discovery: Annotated[Path, typer.Option(help="The hub's discovery document.", dir_okay=False)],
    broker_ca: Annotated[
        Path | None,
        typer.Option(help="CA of the broker and its management API (PEM), for a private CA.", dir_okay=False),
    ] = None,
    env_dir: Annotated[
        Path | None,
        typer.Option(
            "--env",
            help="Directory with the services' environment files, for gateway.env.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Write the files of a gateway: its key, its environment file, and its broker's definitions.

    Import partners-definitions.json at the partners' broker (`rabbitmqctl import_definitions`), then start
    `python -m runtime services.gateway` with gateway.env. A file that exists is kept.
    """
    from admin.gateway_files import GatewayPlan, write_gateway_files
    from kopuro_client.commands.output import Output

    plan = GatewayPlan(
        hub=hub,
        broker=broker,
        management=management,
        discovery=discovery.resolve(),
        broker_ca=None if broker_ca is None else broker_ca.resolve(),
    )
    out = Output(as_json=False)
    for file in write_gateway_files(directory, plan, env_dir=env_dir):
        out.text(str(file))


def password(
    organization: Organization,
    management_uri: Management = None,
    password_hash: PasswordHash = None,
    data_dir: DataDir = None,
    as_json: Documents = False,
) -> None:
    """Replace an organisation's password at the broker. The old one ends at once; open connections stay."""
    from kopuro_client.commands.output import Output

    made, stored = new_or_hashed(password_hash)
    with broker_faults(organization):
        users_of(management_uri, data_dir).put(organization, stored)
    show_access(Output(as_json=as_json), organization, made, data_dir)
