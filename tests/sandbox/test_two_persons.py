from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.settings import TWO_PERSON
from sandbox.hub import Hub
from sandbox.hub_processes import HubError


def test_directory_with_one_operator_cannot_start_with_two_person_approval(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "data", empty=True, approvals=TWO_PERSON, environment={})
    hub.files.settle(())
    people = dict(hub.files.people())
    # Directories of earlier builds have one operator.
    del people["second-operator"]
    hub.files.credentials.write_text(json.dumps(people))
    with pytest.raises(HubError, match="one operator"):
        hub.start()
