"""The metadata of the hub's authorization server. Source: RFC 8414 §2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.directory.domain.client_key import KeyAlgorithm

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path, not a secret
JWKS_PATH: Final = "/oauth/jwks"


def server_metadata(issuer: str, directory: str) -> Mapping[str, Any]:
    """Return the metadata. issuer: the `iss` of tokens; directory: the public base URL of the directory."""
    return {
        "issuer": issuer,
        "token_endpoint": directory + TOKEN_PATH,
        "jwks_uri": directory + JWKS_PATH,
        "grant_types_supported": ["client_credentials"],
        # Required, and never empty (§3.2), although there is no authorization endpoint.
        "response_types_supported": ["none"],
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
        ],
        "token_endpoint_auth_signing_alg_values_supported": [*map(str, KeyAlgorithm), "Ed25519"],
    }
