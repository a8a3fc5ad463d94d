"""Puts the audit service together. It does not start when its log is not what was signed for."""

from __future__ import annotations

import logging
import os

from contracts.envelope import Envelope
from runtime.application import Application
from runtime.foundation import lay
from runtime.settings import Settings
from runtime.web.token_keys import TokenKeys
from runtime.web.tokens import TokenVerifier, issuer_of
from services.audit.adapters.signing_key import load_log_key
from services.audit.adapters.sql_log import SqlLog
from services.audit.adapters.tables import MESSAGING, REPLICA
from services.audit.handlers import AuditHandlers
from services.audit.handlers.history import History
from services.audit.handlers.proofs import Proofs
from services.audit.handlers.self_check import SelfCheck
from services.audit.handlers.sequencer import Sequencer

_log = logging.getLogger(__name__)


def build(settings: Settings) -> Application:
    """The application of one audit process. Raises Defect for a key or a log that cannot be used."""
    key = load_log_key(settings.log_signing_key, settings.hub)
    foundation = lay("audit", settings, MESSAGING)
    database, messenger, clock = foundation.database, foundation.messenger, foundation.clock
    log = SqlLog()
    head = SelfCheck(database, log, key, clock).run()
    _log.info("the log is whole; its key is %s", key.verifier_key, extra={"count": head.size})
    token_keys = TokenKeys()
    directory, directory_ready = messenger.replica(REPLICA, "audit.directory", token_keys.absorb)
    sequencer = Sequencer(log, key, os.urandom)
    return Application(
        name="audit",
        settings=settings,
        database=database,
        handlers=AuditHandlers(
            log=messenger.consumer("audit.log", sequencer.append, Envelope.decode),
            directory=directory,
            history=History(
                database=database,
                log=log,
                outbox=messenger.outbox,
                source=foundation.source,
                clock=clock,
                after_commit=messenger.wake,
            ),
            proofs=Proofs(database, log, key),
        ),
        verifier=TokenVerifier(token_keys, issuer_of(settings.hub), clock),
        messenger=messenger,
        readiness=[("broker", messenger.unready), ("directory", directory_ready)],
        background=[messenger],
        registry=foundation.registry,
        clock=clock,
    )
