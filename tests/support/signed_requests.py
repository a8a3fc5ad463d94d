"""Requests that change the directory, signed with the key of the client's secret."""

from __future__ import annotations

from typing import Any

import httpx

from kopuro_client.request_proof import HEADER, RequestSigner


def send(
    root: str,
    method: str,
    path: str,
    *,
    token: str,
    secret: str | None,
    headers: dict[str, str] | None = None,
    **request: Any,
) -> httpx.Response:
    """Send one request to the directory. root: its base URL. secret: the client's; None: without proof."""
    with httpx.Client(timeout=40) as http:
        built = http.build_request(method, root + path, headers=headers, **request)
        built.headers["Authorization"] = f"Bearer {token}"
        if secret is not None and method != "GET":
            proof = RequestSigner(root, secret).proof(
                method,
                str(built.url),
                token=token,
                body=built.read(),
                if_match=built.headers.get("If-Match"),
                if_none_match=built.headers.get("If-None-Match"),
            )
            built.headers.setdefault(HEADER, proof)
        return http.send(built)
