"""A client of a hub's HTTP API, with one method for each action of a partner, coordinator or auditor.

The methods are in `kopuro_client.resources`, one module for each noun.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from kopuro_client.client_key import ClientKey
from kopuro_client.connection import Connection
from kopuro_client.custody_key import CustodyKey
from kopuro_client.discovery import discover
from kopuro_client.errors import ClientError
from kopuro_client.records import Jwk
from kopuro_client.request_proof import RequestSigner
from kopuro_client.resources.applications import Applications
from kopuro_client.resources.audit import Audit
from kopuro_client.resources.coordination import Coordination
from kopuro_client.resources.mailbox import Mailbox
from kopuro_client.resources.offers import Offers
from kopuro_client.resources.referrals import Referrals
from kopuro_client.resources.released_cases import ReleasedCases
from kopuro_client.resources.reports import Reports
from kopuro_client.resources.statements import Statements
from kopuro_client.resources.traces import Traces
from kopuro_client.resources.watch import Watch
from kopuro_client.tokens import ClientCredentials, TokenSource
from kopuro_client.transport import Transport


class Kopuro(
    Referrals,
    Offers,
    ReleasedCases,
    Statements,
    Mailbox,
    Coordination,
    Reports,
    Watch,
    Applications,
    Audit,
    Traces,
):
    """A client of one hub, for one organisation, coordinator or auditor. Threads may share it.

    Methods return the API's JSON objects and raise only `ClientError`s (see `kopuro_client.errors`). While
    the hub is unavailable, the client retries reads and submissions (which carry an Idempotency-Key) a
    bounded number of times. It sends other requests once; after a TransportError, check whether the request
    took effect before you repeat it.
    """

    @classmethod
    def discover(
        cls,
        url: str,
        client_id: str,
        client_secret: str = "",
        *,
        client_key: ClientKey | None = None,
        sealing_key: Jwk | None = None,
        previous_keys: Sequence[Jwk] = (),
        transport: Transport | None = None,
    ) -> Self:
        """Return a client of the hub at `url`, which is its discovery document's URL or its base URL.

        client_key: the client's own key, in place of its secret. sealing_key: the organisation's private key,
        for opening cases; previous_keys: earlier ones, which open what was sealed to them. No key leaves this
        process. The
        credentials are first used by the first request that needs them. Raises InvalidArgumentError,
        DefectError, or what `Transport.send` raises.
        """
        transport = transport or Transport()
        try:
            found = discover(transport, url)
        except ClientError:
            transport.close()
            raise
        credentials = ClientCredentials(
            client_id=client_id, client_secret=client_secret, client_key=client_key
        )
        tokens = TokenSource(
            transport,
            token_url=found.address("directory", "oauth", "token"),
            credentials=credentials,
        )
        signer = RequestSigner(found.address("directory"), client_secret, client_key)
        return cls(
            found,
            Connection(transport, tokens, signer=signer),
            sealing_key=sealing_key,
            previous_keys=previous_keys,
            custody_key=CustodyKey(found.custody_key, look_up=lambda: discover(transport, url).custody_key),
        )

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
