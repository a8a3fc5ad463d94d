"""A private broker for messaging tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.broker import PrivateBroker


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A node that these tests may stop and kill. Every test leaves it running."""
    with PrivateBroker(tmp_path_factory.mktemp("own-broker")) as running:
        yield running
