"""The name under which the log records what an operator did on the command line."""

from __future__ import annotations

import getpass
import os


def login_name() -> str:
    """Return the login name at this machine, or the user's number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return f"uid {os.getuid()}"
