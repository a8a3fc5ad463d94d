"""`kopuro verify statement`: verify an organisation's monthly statement."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands import verdict
from kopuro_client.commands.counts import count
from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.commands.output import Output
from kopuro_client.commands.proof_documents import (
    read_statement,
)
from kopuro_client.commands.trust import given_policy, trust_in
from kopuro_client.commands.verify_options import AS_JSON, LOG_KEY, POLICY, STATE, memory_at
from kopuro_client.tlog.errors import ForkError
from kopuro_client.tlog.statement import ProvedStatement, VerifiedStatement


def statement(
    file: Annotated[Path, typer.Argument(help="A statement, from `kopuro organization statement --output`.")],
    log_key: LOG_KEY = None,
    policy: POLICY = None,
    state: STATE = None,
    as_json: AS_JSON = False,
) -> None:
    """Verify your organisation's monthly statement offline: signatures, proofs, sums.

    It proves each decision that asked your organisation, and that the figures are those that the hub issued.
    Exit status 11: the month is not over, so its figures cannot be verified; the listed decisions are.
    It cannot prove how often you were considered and not asked: an auditor compares that with the decisions.
    """
    out = Output(as_json=as_json)
    given = given_policy(log_key, policy)
    content = read_statement(file)
    with verdict.judged(out):
        read = ProvedStatement.parse(content)
        trust = trust_in(read.origin, given, memory_at(state), named=lambda: read.log_key)
        verified = read.verify(trust.policy, now=dt.datetime.now(dt.UTC))
        head = verified.accepted.checkpoint
        if trust.last is not None and trust.last.size == head.size and trust.last.root != head.root:
            evidence = (str(trust.last.note), str(head.note))
            raise ForkError(f"the log has signed two trees of size {head.size}", evidence=evidence)
        verdict.show(
            out,
            _statement_claims(read, verified),
            trust=trust,
            accepted=verified.accepted,
            unverified=None if verified.issued else _not_issued(verified),
            organization=read.statement["organization"],
            month=read.statement["month"],
            proved=verified.proved,
            referrals=list(verified.referrals),
            erased=verified.erased,
            earlier=verified.earlier,
            unlisted=verified.unlisted,
            issued=verified.issued,
        )
        if not as_json:
            out.note(
                "not checked: how often you were considered and passed over, and offers that the statement "
                "leaves out; compare the offers with your mailbox"
            )
        if not verified.issued:
            raise typer.Exit(ExitCode.NOT_ISSUED)


def _not_issued(verified: VerifiedStatement) -> str:
    listed = "The listed decisions are in the log" if verified.proved else "No offer is proved"
    return f"Figures not verified: the hub has not issued them yet. {listed}"


def _statement_claims(read: ProvedStatement, verified: VerifiedStatement) -> list[str]:
    figures, head = read.statement, verified.accepted.checkpoint
    offers = count(figures["asked"], "offer")
    month = figures["month"]
    if not figures["complete"]:
        month += f" (only its weeks {', '.join(figures['weeks'])})"
    claims = [
        f"the log {head.origin} of {count(head.size, 'entry', 'entries')} commits to "
        f"{verified.proved} of the {offers} to {figures['organization']} in {month}"
    ]
    without = {
        "erased": verified.erased,
        "of an earlier build": verified.earlier,
        "not listed": verified.unlisted,
    }
    if any(without.values()):
        said = ", ".join(f"{number} {why}" for why, number in without.items() if number)
        others = figures["asked"] - verified.proved
        claims.append(f"{count(others, 'offer has', 'offers have')} no proof: {said}")
    claims.append("the sums are right")
    if verified.issued:
        claims.append("the figures are those that were issued")
    return claims
