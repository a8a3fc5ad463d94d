"""Operators' commands: `kopuro routing policy`, `kopuro routing recompute` and `kopuro routing statements`.

Every start of `kopuro` loads this module, so each command imports its implementation only when it runs.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from admin.command_options import Documents, EnvironmentDir, HubCode, HubDir

if TYPE_CHECKING:
    from kopuro_client.commands.output import Output
    from runtime.storage.database import Database
    from services.routing.domain.applied_policy import AppliedPolicy
    from services.routing.domain.policy_document import PolicyDocument

routing = typer.Typer(
    no_args_is_help=True, help="Operators: manage routing's policy, and recompute its decisions."
)


@routing.callback()
def _group() -> None:
    """Operators: manage routing's policy, and recompute its decisions."""


policy = typer.Typer(
    no_args_is_help=True,
    help="Operators: show, check or apply the policy by which routing decides.",
    epilog="A policy is a JSON file. `show` prints the one in force: change it, give it another version, "
    "check it and apply it.",
)
routing.add_typer(policy, name="policy")

PolicyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The policy (JSON).", dir_okay=False)]
RoutingDatabase = Annotated[
    str | None,
    typer.Option(
        help="Routing's database; by default that of --data-dir, --env, KOPURO_DATABASE_URL or "
        "KOPURO_DATABASE_TEMPLATE."
    ),
]


Simulated = Annotated[
    int | None,
    typer.Option(
        "--simulate",
        min=1,
        metavar="N",
        help="Decide the last N referrals again; reads the databases of routing and the directory.",
    ),
]


@policy.command("show")
def show_policy(
    database: RoutingDatabase = None,
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    version: Annotated[str | None, typer.Option(help="Show this version, not the one in force.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="List all policies: when applied, and by whom.")
    ] = False,
    as_json: Documents = False,
) -> None:
    """Print the policy in force as JSON, with all defaults."""
    from admin.routing.policies import applied_policies
    from kopuro_client.commands.output import Output
    from kopuro_client.commands.printable import moment
    from kopuro_client.errors import InvalidArgumentError

    if every and version is not None:
        raise typer.BadParameter("Give either --version or --all.")
    with _routing_database(database, env_dir, data_dir) as opened:
        applied = applied_policies(opened)
    out = Output(as_json=as_json)
    if every:
        if as_json:
            out.document({"policies": [_applied(one) for one in applied]})
        else:
            columns = ("number", "version", "applied at", "by", "digest")
            times = [moment(one.at.isoformat().replace("+00:00", "Z")) for one in applied]
            out.table(
                columns,
                [
                    (one.number, one.document.version, at, one.by, one.document.digest)
                    for one, at in zip(applied, times, strict=True)
                ],
            )
        return
    found = [one for one in applied if version in (None, one.document.version)]
    if not found:
        which = "no policy yet" if version is None else f"no policy with the version {version}"
        raise InvalidArgumentError(f"the database has {which}")
    out.document(_applied(found[-1]) if as_json else found[-1].document.content)


@policy.command("check")
def check_policy(
    file: PolicyFile,
    database: RoutingDatabase = None,
    hub: HubCode = None,
    simulated: Simulated = None,
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Check a policy and change nothing. Errors name the place in the file and the reason.

    If routing's database is given, the version is compared with those in use: a changed policy needs another
    version. --simulate decides the last referrals again under the policy, and shows for which of them others
    would have been asked. The log records that you read them.
    """
    from admin.routing.policies import check_version, policy_in
    from kopuro_client.commands.output import Output

    document = policy_in(file)
    out = Output(as_json=as_json)
    variables = ("KOPURO_DATABASE_URL", "KOPURO_DATABASE_TEMPLATE")
    if any((database, env_dir, data_dir, *map(os.environ.get, variables))):
        with _routing_database(database, env_dir, data_dir) as opened:
            check_version(opened, document)
    else:
        out.note(
            "the policy's version was not compared with those in use: give --database, --data-dir or --env"
        )
    simulation = _simulated(document, simulated, (env_dir, data_dir), out, hub=hub)
    if as_json:
        out.document({"version": document.version, "digest": document.digest, **simulation})
    else:
        out.text(f"{document.version}: the policy can be applied (digest {document.digest})")


@policy.command("apply")
def apply_policy_file(
    file: PolicyFile,
    database: RoutingDatabase = None,
    hub: HubCode = None,
    simulated: Simulated = None,
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --simulate: apply the policy without asking.")
    ] = False,
    as_json: Documents = False,
) -> None:
    """Put a policy in force in all of routing's processes, without a restart.

    The log records who applied it, and its content. Open offers keep their deadlines, and earlier decisions
    keep their version. To return to an earlier policy, apply its file again. --simulate first shows for which
    of the last referrals others would have been asked, and asks you.
    """
    from admin.hub_databases import hub_of
    from admin.routing.policies import apply_policy, policy_in
    from kopuro_client.commands.confirmation import confirm, require_terminal
    from kopuro_client.commands.output import Output
    from kopuro_client.errors import InvalidArgumentError

    asks = simulated is not None and not yes
    if asks and as_json:
        raise InvalidArgumentError(
            "--simulate with --json requires --yes: the simulation is printed at the end"
        )
    if asks:
        require_terminal()
    document = policy_in(file)
    code = hub_of("routing", hub, env_dir, data_dir, os.environ)
    out = Output(as_json=as_json)
    simulation = _simulated(document, simulated, (env_dir, data_dir), out, hub=code)
    if asks:
        confirm(out, [], f"apply the policy {document.version}?")
    with _routing_database(database, env_dir, data_dir) as opened:
        applied = apply_policy(opened, code, document)
    if as_json:
        number = None if applied is None else applied.number
        out.document({"version": document.version, "digest": document.digest, "number": number, **simulation})
    elif applied is None:
        out.text(f"{document.version} is in force already")
    else:
        out.text(f"{document.version} is in force (number {applied.number}, digest {document.digest})")


def _routing_database(
    database: str | None, env_dir: Path | None, data_dir: Path | None
) -> AbstractContextManager[Database]:
    """Return routing's database, opened for the block. Raises InvalidArgumentError if nothing names it."""
    from admin.hub_databases import database_of
    from admin.routing.databases import decision_databases
    from admin.service_database import service_database

    if data_dir is None or database is not None:
        found = database_of("routing", database, env_dir, data_dir, os.environ)
    else:  # such a folder may contain copies of two databases only
        found = decision_databases(env_dir, data_dir)["routing"]
    return service_database(found.url, found.tls)


@routing.command("recompute")
def recompute_decisions(
    referral: Annotated[
        str | None, typer.Option(metavar="ID", help="Recompute the decisions about this referral.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="Recompute the last decisions.")] = 1000,
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Recompute stored decisions from their records, and name each one that differs.

    Reads the databases of routing and of the directory, or copies of them: --env, --data-dir, or else
    KOPURO_DATABASE_TEMPLATE. A changed policy, revision or referral is named too. The exit status is 1 if
    anything differs, and 9 if no decision could be compared. `kopuro admin reconcile` compares the decisions
    with the log.
    """
    import re

    from admin.routing.databases import decision_databases
    from admin.routing.recompute import recompute, report
    from admin.routing.stored import stored_by
    from contracts.identifiers import UUID_PATTERN
    from kopuro_client.commands.output import Output
    from kopuro_client.errors import InvalidArgumentError

    if referral is not None and re.fullmatch(UUID_PATTERN, referral) is None:
        raise InvalidArgumentError("--referral must be a lower-case UUID")
    with stored_by(decision_databases(env_dir, data_dir)) as stored:
        chosen = stored.decisions(last=last) if referral is None else stored.decisions(referral=referral)
        if referral is not None and not chosen:
            raise InvalidArgumentError(f"the database has no decision about the referral {referral}")
        result = recompute(stored, chosen)
    out = Output(as_json=as_json)
    report(result, out)
    _end(out, compared=result.decisions, differs=bool(result.mismatches))


@routing.command("statements")
def count_statements(
    month: Annotated[str, typer.Argument(metavar="MONTH", help="The month, such as 2026-10.")],
    env_dir: EnvironmentDir = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Recompute the statements of a month from the decisions and answers, and name each one that differs.

    Reads the databases of routing and the directory, or copies, as `recompute` does. The exit status is 1 if
    anything differs, and 9 if the month has no statement to compare.
    `kopuro admin reconcile` compares decisions and issued statements with the log.
    """
    import datetime as dt

    from admin.read_only_engine import open_read_only
    from admin.routing.databases import decision_databases
    from admin.routing.statements import count_again, report
    from kopuro_client.commands.output import Output
    from kopuro_client.errors import InvalidArgumentError
    from services.routing.domain.calendar_month import CalendarMonth

    try:
        wanted = CalendarMonth.parse(month)
    except ValueError as error:
        raise InvalidArgumentError(str(error)) from None
    places = decision_databases(env_dir, data_dir)
    engines = [open_read_only(places[name].url, places[name].tls) for name in ("routing", "directory")]
    try:
        with engines[0].connect() as routing, engines[1].connect() as directory:
            result = count_again(routing, directory, wanted, dt.datetime.now(dt.UTC))
    finally:
        for engine in engines:
            engine.dispose()
    out = Output(as_json=as_json)
    report(result, wanted, out)
    _end(out, compared=result.statements, differs=bool(result.mismatches))


def _end(out: Output, *, compared: int, differs: bool) -> None:
    """End with status 1 if anything differs, and with NOT_VERIFIED if nothing was compared."""
    from kopuro_client.commands.exit_codes import ExitCode

    if differs:
        raise typer.Exit(1)
    if not compared:
        out.note("nothing was compared")
        raise typer.Exit(ExitCode.NOT_VERIFIED)


def _simulated(
    document: PolicyDocument,
    last: int | None,
    folders: tuple[Path | None, Path | None],
    out: Output,
    *,
    hub: str | None,
) -> dict[str, object]:
    """Print the simulation as text, or return it for a JSON document; nothing without `last`.

    folders: --env and --data-dir. hub: of --hub.
    """
    if last is None:
        return {}
    from admin.hub_databases import hub_of
    from admin.routing.databases import decision_databases
    from admin.routing.simulation import as_document, record_read, report, simulate_stored
    from admin.routing.stored import stored_by
    from admin.service_database import service_database

    places = decision_databases(*folders)
    with stored_by(places) as stored:
        result = simulate_stored(stored, document.policy, last)
    with service_database(places["routing"].url, places["routing"].tls) as opened:
        record_read(opened, hub_of("routing", hub, *folders, os.environ), result, document, last)
    if out.as_json:
        return {"simulation": as_document(result)}
    report(result, out)
    return {}


def _applied(one: AppliedPolicy) -> dict[str, object]:
    return {
        "number": one.number,
        "version": one.document.version,
        "digest": one.document.digest,
        "applied_by": one.by,
        "applied_at": one.at.isoformat(),
        "policy": one.document.content,
    }
