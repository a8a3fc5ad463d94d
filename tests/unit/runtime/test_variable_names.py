from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime import settings
from runtime.variable_names import VARIABLES, nearest


def test_variables_are_those_that_settings_reads() -> None:
    read = set(re.findall(r'"(KOPURO_[A-Z_]+)"', Path(settings.__file__).read_text(encoding="utf-8")))
    others = VARIABLES - read
    assert read <= VARIABLES
    assert {
        name for name in others if re.search("_CA$|_CERTIFICATE$|_CERTIFICATE_KEY$|_FILE$", name)
    } == others


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("KOPURO_CONECTIONS_PER_ADRESS", "KOPURO_CONNECTIONS_PER_ADDRESS"),
        ("KOPURO_DATABASE_URI", "KOPURO_DATABASE_URL"),
        ("KOPURO_AMQP_URL_FILE", "KOPURO_AMQP_URI_FILE"),
        ("KOPURO_ZZZZ", None),
    ],
)
def test_nearest_variable_is_named(written: str, meant: str | None) -> None:
    assert nearest(written) == meant
