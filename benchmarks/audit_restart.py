"""Restart time of the audit service: from process start to the first served checkpoint."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from admin.embedded_broker import LOOPBACK
from admin.key_files import write_key_files
from admin.manifest_files import HUB_KEY, MANIFEST, service_key_name
from benchmarks.audit_kopuro import HUB, database_url, key_file, publication
from benchmarks.usage import resident_mebibytes
from sandbox.ports import free_ports
from sandbox.process import ServiceProcess

_LONGEST_SECONDS: Final = 600.0
_PAUSE_SECONDS: Final = 0.01


def restart(directory: Path, amqp_uri: str) -> Mapping[str, float]:
    """Return `seconds`, and `mib`: resident memory at that time. Raises RuntimeError after ten minutes."""
    http_port, operations_port = free_ports(2)
    discovery = directory / "discovery.json"
    discovery.write_text(json.dumps({"hub": HUB, "version": "1"}))
    keys = directory / "keys"
    if not keys.exists():
        write_key_files(keys, HUB)
    process = ServiceProcess(
        "audit",
        [sys.executable, "-m", "runtime", "services.audit"],
        environment={
            **os.environ,
            "KOPURO_AMQP_URI": amqp_uri,
            "KOPURO_DATABASE_URL": database_url(directory),
            "KOPURO_HTTP_ADDRESS": f"{LOOPBACK}:{http_port}",
            "KOPURO_OPERATIONS_ADDRESS": f"{LOOPBACK}:{operations_port}",
            "KOPURO_HUB": HUB,
            "KOPURO_DISCOVERY": str(discovery),
            "KOPURO_LOG_SIGNING_KEY": str(key_file(directory)),
            "KOPURO_SERVICE_KEY": str(keys / f"{service_key_name('audit')}.json"),
            "KOPURO_MANIFEST": str(keys / MANIFEST),
            "KOPURO_HUB_KEY": str(keys / HUB_KEY),
            "KOPURO_LOG_DIRECTORY": str(publication(directory)),
        },
        log=directory / "service.log",
    )
    begun = time.perf_counter()
    process.spawn()
    try:
        while not _serves_a_checkpoint(http_port):
            if not process.running() or time.perf_counter() - begun > _LONGEST_SECONDS:
                raise RuntimeError("the audit service serves no checkpoint:\n" + process.log.read_text())
            time.sleep(_PAUSE_SECONDS)
        seconds = time.perf_counter() - begun
        assert process.pid is not None
        return {"seconds": seconds, "mib": resident_mebibytes(process.pid)}
    finally:
        process.stop()


def _serves_a_checkpoint(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET", "/checkpoint")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
