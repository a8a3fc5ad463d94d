"""Removal of what the broker has and the hub's topology does not declare."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from contracts.topology import hub_topology
from kopuro_client.errors import InvalidArgumentError
from runtime.messaging.rabbit.management import ManagementApi
from runtime.messaging.rabbit.strays import Stray
from runtime.tls import BROKER, UnusableTlsFiles, tls_files


def strays_at(uri: str, vhost: str, *, remove: bool) -> Sequence[Stray]:
    """Return the strays in the hub's virtual host, and remove them if asked to.

    uri: `http[s]://user:password@host:port` of the management API. A removal that is broken off is repeated.
    Raises InvalidArgumentError for another URI, and BrokerUnavailable.
    """
    if urlsplit(uri).scheme not in ("http", "https") or not urlsplit(uri).hostname:
        raise InvalidArgumentError("the management API needs a URI such as http://user:password@host:15672")
    try:
        api = ManagementApi(uri, vhost, tls_files(BROKER, os.environ))
    except UnusableTlsFiles as error:
        raise InvalidArgumentError(str(error)) from None
    found = api.strays(hub_topology())
    for one in found if remove else ():
        api.remove(one)
    return found
