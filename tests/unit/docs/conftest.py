"""Documented commands run in this process, as those of the client's own tests."""

from __future__ import annotations

from tests.unit.client.commands.conftest import plugins_read_once

__all__ = ["plugins_read_once"]
