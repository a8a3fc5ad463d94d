"""An organisation that joins the network, as an operator admits it: a record, a client id and a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

_LIKE = "ru.moscow-common-table"
_OF_THE_HUB = ("revision", "sealing_key", "sealing_key_change", "approved_services")


@contextmanager
def joined(hub: RunningHub, organization: str, *, has_services: bool = True) -> Iterator[Mapping[str, str]]:
    """Admit an organisation without a sealing key within the block; give its client_id and client_secret.

    has_services: it offers what Moscow's Common Table offers. Afterwards it is inactive, so nobody asks it.
    """
    with httpx.Client(
        base_url=hub.address("directory"),
        headers={"Authorization": f"Bearer {hub.token('operator')}"},
        timeout=30,
    ) as operator:
        like = operator.get(f"/v1/organizations/{_LIKE}").json()
        record = {name: value for name, value in like.items() if name not in _OF_THE_HUB}
        if not has_services:
            record["services"] = []
        path = f"/v1/organizations/{organization}"
        _sent(operator, "PUT", path, {**record, "id": organization}, {"If-None-Match": "*"})
        issued = _sent(operator, "POST", "/v1/credentials", {"principal": organization, "roles": ["partner"]})
        try:
            until(lambda: _is_admitted(hub, organization, issued), f"{organization} is admitted everywhere")
            yield {name: issued[name] for name in ("client_id", "client_secret")}
        finally:
            inactive = {"active": False}
            headers = {"If-Match": "*", "Content-Type": "application/merge-patch+json"}
            _sent(operator, "PATCH", path, inactive, headers)


def _sent(
    operator: httpx.Client, method: str, path: str, body: Any, headers: Mapping[str, str] | None = None
) -> Any:
    answer = operator.request(method, path, json=body, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def _is_admitted(hub: RunningHub, organization: str, issued: Mapping[str, str]) -> bool:
    token = httpx.post(
        f"{hub.address('directory')}/oauth/token",
        auth=(issued["client_id"], issued["client_secret"]),
        data={"grant_type": "client_credentials"},
        timeout=30,
    ).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    reads = (("delivery", "/v1/mailbox"), ("intake", "/v1/referrals"), ("directory", "/v1/services"))
    return all(
        httpx.get(hub.address(service) + path, headers=headers, timeout=30).status_code == 200
        for service, path in reads
    )
