"""Command lines that the benchmarks refuse before they start anything."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("journey --rounds 0", "argument --rounds: 0 is not a positive number"),
        ("journey --rounds many", "argument --rounds: many is not a positive number"),
        ("soak --minutes 0", "argument --minutes: 0 is not a positive number"),
        ("soak --rate nan", "argument --rate: nan is not a positive number"),
        ("soak --rate 101", "soak: --rate must be at most 100"),
        ("since", "since: --commit must name the earlier commit"),
        ("since --commit none", "since: none is not a commit of this repository"),
        ("since --commit --help", "argument --commit: expected one argument"),
        ("growth --referrals 0", "argument --referrals: 0 is not a positive number"),
    ],
)
def test_arguments_that_measure_nothing_are_refused(
    given: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.__main__.PrivateBroker", None)  # nothing may start
    with pytest.raises(SystemExit) as ended:
        main(given.split())
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
