"""Command lines that the benchmarks refuse before they start anything."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("journey --rounds 0", "argument --rounds: 0 is not above 0"),
        ("journey --rounds many", "argument --rounds: many is not above 0"),
        ("soak --minutes 0", "argument --minutes: 0 is not above 0"),
        ("soak --rate nan", "argument --rate: nan is not above 0"),
        ("soak --rate 101", "soak: single requests, 100 a second at most"),
        ("growth --referrals 0", "argument --referrals: 0 is not above 0"),
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
