"""The HTTP session to a receiver of spans, which uses only the status of an answer.

Imports `requests`, which only installations with `kopuro[traces]` have.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from runtime.bounded_response import BoundedResponse


class _Connection(HTTPConnection):
    response_class = BoundedResponse


class _SecureConnection(HTTPSConnection):
    response_class = BoundedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _BoundedAdapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class StatusOnlySession(requests.Session):
    """Follows no redirect and reads no body: a body may have any size, and come at any pace.

    Heads are read to a limit. A longer one raises ConnectionError, as a broken connection does.

    A redirect would also take the headers of `OTEL_EXPORTER_OTLP_HEADERS`, often a key, to another host.
    """

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _BoundedAdapter())
        self.trust_env = False  # spans go to the endpoint and through no proxy of the environment

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Return the answer without its body. Raises TooManyRedirects for a redirect."""
        with super().send(request, **{**options, "allow_redirects": False, "stream": True}) as answer:
            if 300 <= answer.status_code < 400:
                raise requests.TooManyRedirects("the receiver of spans redirects")
            bare = requests.Response()
            bare.status_code, bare.reason, bare.headers = answer.status_code, answer.reason, answer.headers
            bare.url, bare.request, bare.raw = answer.url, answer.request, BytesIO()
            return bare
