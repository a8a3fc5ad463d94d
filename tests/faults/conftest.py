from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.broker import PrivateBroker


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A node of one's own: an alarm concerns all that publish to it."""
    with PrivateBroker(tmp_path_factory.mktemp("alarmed-broker")) as running:
        yield running
