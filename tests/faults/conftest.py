from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.broker import PrivateBroker


@pytest.fixture(scope="package")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A node that these tests may block, stop and kill. Every test leaves it running and unblocked."""
    with PrivateBroker(tmp_path_factory.mktemp("alarmed-broker")) as running:
        yield running
