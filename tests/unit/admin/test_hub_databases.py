from __future__ import annotations

import pytest

from admin.hub_databases import hub_databases
from kopuro_client.errors import InvalidArgumentError


def test_refusal_without_databases_names_every_option() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^give --env or --data-dir, or set "):
        hub_databases(None, None, {})
