"""One sample service for all tests that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime.sample_process import SampleProcess


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleProcess]:
    with SampleProcess(tmp_path_factory.mktemp("sample")) as process:
        yield process
