"""Environment files for services."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admin.environment_files import (
    environment_text,
    parsed,
    read_environment,
    read_environments,
    write_environment,
)
from kopuro_client.errors import InvalidArgumentError
from tests.long_run import times

values = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=30)


@settings(max_examples=times(15, 40))
@given(st.dictionaries(st.from_regex(r"KOPURO_[A-Z]{1,8}", fullmatch=True), values, max_size=4))
def test_written_variables_are_read_back(variables: dict[str, str]) -> None:
    # The parser strips the ends of lines; the writer quotes every value that could lose something.
    assert parsed(environment_text(variables)) == variables


def test_value_with_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="KOPURO_X contains a line break"):
        environment_text({"KOPURO_X": "a\nKOPURO_Y=b"})


def test_comments_and_quotes_of_systemd_are_read() -> None:
    text = '# hub\n; too\n\nA=\'b \\c\'\nB="say \\"hi\\""\nC=plain\nD=\n'
    assert parsed(text) == {"A": "b \\c", "B": 'say "hi"', "C": "plain", "D": ""}


@pytest.mark.usefixtures("any_umask")
def test_file_is_private_and_faults_do_not_quote_it(tmp_path: Path) -> None:
    file = tmp_path / "intake.env"
    write_environment(file, {"KOPURO_AMQP_URI": "amqps://kg.intake:hunter2@broker"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("hunter2\n")
    with pytest.raises(InvalidArgumentError, match="line 1 is not NAME=VALUE") as caught:
        read_environment(file)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidArgumentError, match=r"lacks routing\.env"):
        read_environments(tmp_path)
