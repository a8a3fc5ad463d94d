"""A real process that runs the sample service on its own ports."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from joserfc.jwk import OKPKey

from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal, issuer_of
from tests.processes import HUB, ROOT, RunningService

__all__ = ["ROOT", "SampleProcess", "new_signer"]


def new_signer(hub: str = HUB) -> TokenSigner:
    key = OKPKey.generate_key("Ed25519", private=True)
    return TokenSigner(key.as_dict(private=True), issuer_of(hub))


class SampleProcess(RunningService):
    """`python -m runtime tests.runtime.sample_service`, its files in `directory`."""

    def __init__(self, directory: Path, port: int | None = None, altered_by: str | None = None) -> None:
        super().__init__(
            "tests.runtime.sample_service",
            directory,
            amqp_uri="amqp://nobody:nothing@127.0.0.1:1//",  # never connected to
            database_url="sqlite:////nowhere",
            port=port,
            altered_by=altered_by,
        )
        self.signer = new_signer()
        self.marker = directory / "ready"
        (directory / "jwks.json").write_text(json.dumps({"keys": [self.signer.public_jwk()]}))

    def token(
        self,
        *roles: str,
        age: timedelta = timedelta(),
        signer: TokenSigner | None = None,
        client: str = "sample",
    ) -> dict[str, str]:
        """The headers of a caller called kg.sample, or kg. and another client's name."""
        principal = Principal(id=f"kg.{client}", roles=frozenset(roles), client_id=client)
        token = (signer or self.signer).issue(principal, now=datetime.now(UTC) - age)
        return {"Authorization": f"Bearer {token}"}
