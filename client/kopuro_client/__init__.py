"""Kopuro's partner library: a typed client of a hub's API, sealing of cases, and the `kopuro` command."""

from kopuro_client.cases import check_case
from kopuro_client.client import Kopuro
from kopuro_client.discovery import Discovery
from kopuro_client.errors import (
    AuthenticationError,
    CaseError,
    ClientError,
    DefectError,
    FieldError,
    InvalidArgumentError,
    Problem,
    RefusedError,
    SealingError,
    TransportError,
    UnavailableError,
    UnreadableError,
    WrongKeyError,
)
from kopuro_client.retrying import RetryPolicy
from kopuro_client.sealing import generate_key, open_sealed, public_key, seal, thumbprint
from kopuro_client.submissions import Submission
from kopuro_client.trace_context import continuing_trace
from kopuro_client.transport import Transport

__all__ = [
    "AuthenticationError",
    "CaseError",
    "ClientError",
    "DefectError",
    "Discovery",
    "FieldError",
    "InvalidArgumentError",
    "Kopuro",
    "Problem",
    "RefusedError",
    "RetryPolicy",
    "SealingError",
    "Submission",
    "Transport",
    "TransportError",
    "UnavailableError",
    "UnreadableError",
    "WrongKeyError",
    "check_case",
    "continuing_trace",
    "generate_key",
    "open_sealed",
    "public_key",
    "seal",
    "thumbprint",
]
