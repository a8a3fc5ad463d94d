"""Proofs that the holder of a client's secret made a request: keys registered, proofs checked once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.errors import Refused
from runtime.access.tokens import Principal
from runtime.clock import Clock
from runtime.storage.database import Database
from services.directory.domain.approval import Policy
from services.directory.domain.client import Client
from services.directory.domain.client_key import ClientKey, valid_keys
from services.directory.domain.request_proof import (
    VALID_FOR,
    ProvableRequest,
    RequestProof,
    check_proof,
    invalid_proof,
    public_proof_key,
    secret_key,
)
from services.directory.ports import ProofKeyStore, Register


class RequestProofs:
    """Refuses changes with a token but no proof, where two persons decide."""

    def __init__(
        self,
        *,
        database: Database,
        register: Register,
        store: ProofKeyStore,
        read: Callable[[str, Sequence[ClientKey]], RequestProof],
        policy: Policy,
        clock: Clock,
    ) -> None:
        """read: returns a proof's content by its text and the client's keys (`adapters.request_proofs`)."""
        self._database = database
        self._register = register
        self._store = store
        self._read = read
        self._policy = policy
        self._clock = clock

    def register_key(self, client: Client, secret: str, secret_sha256: str) -> None:
        """Register the public key of a client that has just shown its secret. Writes once for each secret.

        A secret that was replaced meanwhile registers nothing. Raises DatabaseUnavailable.
        """
        with self._database.read() as transaction:
            if self._store.keys(transaction, client.id, [secret_sha256]):
                return
        key = public_proof_key(secret)
        with self._database.write() as transaction:
            present = self._register.standing(transaction, Client, [client.id]).get(client.id)
            live = () if present is None else present.entry.secrets(self._clock.now())
            if secret_sha256 in live:
                self._store.register(transaction, client.id, secret_sha256, key, live=live)

    def check(self, caller: Principal, request: ProvableRequest, proof: str | None) -> None:
        """Check that the caller's client signed the request, and that it is not a repetition.

        A proof that is sent is checked under either policy; with one person it may be missing. Raises Refused
        `proof-required` and `invalid-proof`, and DatabaseUnavailable.
        """
        if proof is None:
            if self._policy is Policy.one_person:
                return
            raise Refused(
                "proof-required",
                "A token alone changes nothing in the directory: send a signature in `Kopuro-Proof`.",
            )
        now = self._clock.now()
        with self._database.read() as transaction:
            found = self._register.standing(transaction, Client, [caller.client_id]).get(caller.client_id)
            secrets = () if found is None else found.entry.secrets(now)
            derived = self._store.keys(transaction, caller.client_id, secrets) if secrets else []
            own = [] if found is None else valid_keys(found.entry.keys, now)
        keys = [*map(secret_key, derived), *own]
        if not keys:
            raise invalid_proof(
                "The directory has no key of this client. It learns the key of a secret when you get a token."
            )
        content = self._read(proof, keys)
        check_proof(content, request, now)
        with self._database.write() as transaction:
            # Twice the time, because a client's clock may be ahead by that time.
            is_new = self._store.use(
                transaction, caller.client_id, content.id, now=now, until=now + 2 * VALID_FOR
            )
        if not is_new:
            raise invalid_proof("The proof was used before. Sign a new one for each request.")
