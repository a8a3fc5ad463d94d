from __future__ import annotations

import pytest

from admin.hub_databases import hub_databases
from kopuro_client.errors import InvalidArgumentError


def test_every_way_to_name_databases_is_told_when_none_is_taken() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^give --env or --data-dir, or set "):
        hub_databases(None, None, {})
