"""The name under which the log records what an operator did on the command line."""

from __future__ import annotations

import os
import pwd


def login_name() -> str:
    """Return the name of the process's account, or the account's number where it has no name.

    Not the environment's (LOGNAME, USER), in which an operator could write another person's name.
    """
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container may run under a number that has no name
        return f"uid {number}"
