"""The lines of a node's log that say why it does not start."""

from __future__ import annotations

from sandbox.broker_log import cause_of_failure

# RabbitMQ 3.10.8, shortened.
LOG = """\
2026-11-27 07:53:06.947712+00:00 [error] <0.138.0> You've tried to set management.tcp.ip, but there is no \
setting with that name.
\x1b[31m2026-11-27 07:53:07.363551+00:00 [error] <0.138.0>   - Conf file attempted to set unknown variable: \
management.tcp.ip\x1b[0m

BOOT FAILED
===========
Error during startup: {error,failed_to_prepare_configuration}

2026-11-27 07:53:07.375913+00:00 [error] <0.138.0> BOOT FAILED
"""


def test_failed_start_shows_the_cause_before_the_end_of_the_crash_report() -> None:
    report = "".join(f"2026-11-27 07:53:08.1+00:00 [error] <0.136.0>   crasher {n}\n" for n in range(50))
    shown = cause_of_failure(LOG + report)
    assert len(shown) == 25
    assert shown[:5] == [
        "You've tried to set management.tcp.ip, but there is no setting with that name.",
        "  - Conf file attempted to set unknown variable: management.tcp.ip",
        "BOOT FAILED",
        "===========",
        "Error during startup: {error,failed_to_prepare_configuration}",
    ]


def test_log_without_a_failed_start_shows_its_last_lines() -> None:
    assert cause_of_failure("\n".join(map(str, range(100)))) == [str(n) for n in range(75, 100)]
    assert cause_of_failure("") == []
    earlier = LOG + "\n".join(["started"] * 200)
    assert cause_of_failure(earlier) == ["started"] * 25
