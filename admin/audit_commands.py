"""The earlier name of `kopuro admin reconcile`."""

from __future__ import annotations

from admin.moved_commands import moved

audit = moved("audit reconcile", "admin reconcile")
