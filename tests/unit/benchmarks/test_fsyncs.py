"""Parsing of strace's table."""

from __future__ import annotations

from benchmarks.fsyncs import counted

TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 93.10    0.081112         120       675           fdatasync
  6.90    0.006010         150        40         2 fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.087122         121       715         2 total
"""


def test_all_calls_that_wait_for_the_disk_are_counted() -> None:
    assert counted(TABLE) == 715


def test_table_without_fsync_calls_counts_zero() -> None:
    assert counted("") == 0
