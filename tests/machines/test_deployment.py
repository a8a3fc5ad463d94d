"""The commands of the set-up page, as a program reads them."""

from __future__ import annotations

import subprocess

from tests.machines.deployment import DOCTOR_RUNS, PAGE, blocks, script, was_clean

TEXT = """\
One:

```sh
echo one
```

Not for a program:

```text
rm -rf everything
```

```sh
cat <<END
two
END
```
"""


def test_blocks_of_shell_are_taken_in_their_order() -> None:
    assert blocks(TEXT) == ["echo one\n", "cat <<END\ntwo\nEND\n"]


def test_script_of_the_page_is_valid_and_stops_at_the_first_error() -> None:
    page = PAGE.read_text(encoding="utf-8")
    written = script(page)
    parsed = subprocess.run(["sh", "-n"], input=written, capture_output=True, text=True, check=False)

    assert (parsed.returncode, parsed.stderr) == (0, "")
    assert blocks(page)[0].startswith("set -eu\n")
    assert len(blocks(page)) == page.count("```sh\n") > 10


def test_page_asks_doctor_as_often_as_the_check_expects() -> None:
    lines = "".join(blocks(PAGE.read_text(encoding="utf-8"))).splitlines()

    assert lines.count("doctor") == DOCTOR_RUNS


def test_hub_with_a_warning_is_not_clean() -> None:
    clean = "+ doctor\n0 faults, 0 warnings\n"

    assert was_clean(clean * DOCTOR_RUNS)
    assert not was_clean(clean * (DOCTOR_RUNS - 1) + "+ doctor\nwarning: x\n0 faults, 1 warning\n")
    assert not was_clean("+ systemctl start kopuro.target\nfailed\n")
