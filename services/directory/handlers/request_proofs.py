"""Proofs that the holder of a client's secret made a request: keys registered, proofs checked once."""

from __future__ import annotations

from collections.abc import Callable

from contracts.errors import Refused
from runtime.access.tokens import Principal
from runtime.clock import Clock
from runtime.storage.database import Database
from services.directory.domain.approval import Policy
from services.directory.domain.client import Client
from services.directory.domain.request_proof import (
    VALID_FOR,
    ProvableRequest,
    RequestProof,
    check_proof,
    invalid_proof,
    public_proof_key,
)
from services.directory.ports import ProofKeyStore, Register


class RequestProofs:
    """Refuses changes that only a token vouches for, where two persons decide."""

    def __init__(
        self,
        *,
        database: Database,
        register: Register,
        store: ProofKeyStore,
        read: Callable[[str, str], RequestProof],
        policy: Policy,
        clock: Clock,
    ) -> None:
        """read: returns a proof's content by its text and the public key (`adapters.request_proofs`)."""
        self._database = database
        self._register = register
        self._store = store
        self._read = read
        self._policy = policy
        self._clock = clock

    def register_key(self, client: Client, secret: str) -> None:
        """Register the public key of a client that has just shown its secret. Writes once for each secret.

        A secret that was replaced meanwhile registers nothing. Raises DatabaseUnavailable.
        """
        with self._database.read() as transaction:
            if self._store.key(transaction, client) is not None:
                return
        key = public_proof_key(secret)
        with self._database.write() as transaction:
            now = self._register.standing(transaction, Client, [client.id]).get(client.id)
            if now is not None and now.entry.secret_sha256 == client.secret_sha256:
                self._store.register(transaction, client, key)

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
            key = None if found is None else self._store.key(transaction, found.entry)
        if key is None:
            raise invalid_proof(
                "The directory has no key of this client. It learns the key when you get a token."
            )
        content = self._read(proof, key)
        check_proof(content, request, now)
        with self._database.write() as transaction:
            # Twice the time, because a client's clock may be ahead by as much.
            is_new = self._store.use(
                transaction, caller.client_id, content.id, now=now, until=now + 2 * VALID_FOR
            )
        if not is_new:
            raise invalid_proof("The proof was used before. Sign each request anew.")
