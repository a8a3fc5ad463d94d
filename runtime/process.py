"""The process of one service: nameko's ServiceRunner with a bounded shutdown.

Exit status: 0 after an orderly stop; 1 when the service could not start, failed, or was ended by the
watchdog; 2 when an environment variable is missing or invalid.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import resource
import sys
import warnings
from typing import Any, Final

import eventlet
import eventlet.debug
from eventlet.hubs.hub import BaseHub
from nameko.runners import ServiceRunner

from runtime import garbage_collection
from runtime.application import APPLICATION, Application
from runtime.settings import Settings, SettingsError
from runtime.shutdown import StopRequest
from runtime.telemetry import logs

_log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 4.0  # for requests and batches in progress; the watchdog fires after 8
# Processes that reach the hub as its clients, over HTTP.
CLIENTS: Final = frozenset({"services.gateway"})
MAXIMUM_WORKERS: Final = 10_000  # a long poll holds a worker for up to 30 s and costs a greenlet


def run(package: str) -> int:
    """Run the service in `package` until it is asked to stop; return the exit status."""
    service = package.rpartition(".")[2]
    _forbid_core_file()
    logs.configure(service, {"contracts", "runtime", package.partition(".")[0]})
    _silence()
    try:
        settings = Settings.from_environment(os.environ, is_client=package in CLIENTS)
    except SettingsError as fault:
        sys.stderr.write(f"{service}: {fault}\n")
        return 2
    stop = StopRequest()
    _raise_file_limit()
    try:
        application, runner = _start(package, settings)
    except SettingsError as fault:
        # A file that a variable names cannot be used.
        stop.arm()
        sys.stderr.write(f"{service}: {fault}\n")
        return 2
    except Exception:  # noqa: BLE001 - any fault is logged and becomes the exit status
        stop.arm()
        _log.critical("service could not start", exc_info=True)
        return 1
    garbage_collection.freeze_gc()
    _log.info("started", extra={"address": str(settings.http_address)})
    stopper = eventlet.spawn(_stop_when_asked, stop, application, runner)
    try:
        runner.wait()
        status = 0
    except Exception:  # noqa: BLE001 - as above
        _log.critical("service failed", exc_info=True)
        status = 1
    stop.arm()
    stopper.kill()
    application.close()
    _log.info("stopped", extra={"exit_code": status})
    return status


def _start(package: str, settings: Settings) -> tuple[Application[Any], Any]:
    bootstrap = importlib.import_module(f"{package}.bootstrap")
    service_class = importlib.import_module(f"{package}.service").SERVICE
    gc.enable()  # `runtime.__main__` disables it for the imports
    application: Application[Any] = bootstrap.build(settings)
    runner = ServiceRunner(
        {
            APPLICATION: application,
            "AMQP_URI": settings.amqp_uri,
            "WEB_SERVER_ADDRESS": str(settings.http_address),
            "max_workers": MAXIMUM_WORKERS,
        }
    )
    runner.add_service(service_class)
    runner.start()
    return application, runner


def _stop_when_asked(stop: StopRequest, application: Application[Any], runner: Any) -> None:
    stop.wait()
    application.release()
    with eventlet.Timeout(GRACE_SECONDS, exception=False):
        runner.stop()
        return
    _log.warning("stopping with unfinished work", extra={"seconds": GRACE_SECONDS})
    runner.kill()


def _silence() -> None:
    """Keep foreign output off stderr: eventlet prints tracebacks with the exceptions' texts."""
    eventlet.debug.hub_exceptions(False)
    # It prints them nevertheless when a greenlet fails after it has waited for a descriptor.
    BaseHub.squelch_exception = _log_stray
    # joserfc prefers the name Ed25519 (RFC 9864), but partners' libraries know EdDSA.
    warnings.filterwarnings("ignore", message="EdDSA is deprecated")


def _log_stray(hub: Any, descriptor: int, fault: Any) -> None:
    """Log the exception's class and stop listening: replaces a method of eventlet's hub.

    fault: as `sys.exc_info` returns it.
    """
    _log.critical("uncaught exception", exc_info=fault)
    try:
        hub.remove_descriptor(descriptor)
    except Exception:  # noqa: BLE001 - it would end the event loop
        _log.critical("a descriptor could not be removed", exc_info=True)


def _forbid_core_file() -> None:
    """Leave no core file, whatever starts the process: it would hold keys and cases."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _raise_file_limit() -> None:
    """Raise the limit of open files, and so of connections, to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
