"""The directory of SQLite's temporary files, for example of a large sort. They contain rows in clear.

Source: SQLite, "Temporary Files Used By SQLite", section 5. The files have no name. In /var/tmp, which SQLite
would take, they are outside a data directory that the operator encrypts.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

_chosen: Path | None = None


def keep_temporary_files_beside(file: str | None) -> None:
    """Let this process write them in the directory of a database's file from now on. None: change nothing.

    If the directory cannot be written, SQLite chooses as before. A process has one such directory: with
    databases in several, that of the last one opened.
    """
    global _chosen
    if not file or file == ":memory:":
        return
    directory = Path(file).absolute().parent
    if directory == _chosen:
        return  # SQLite's variable is not safe to change while another thread reads
    with closing(sqlite3.connect(":memory:")) as connection, suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA temp_store_directory='{}'".format(str(directory).replace("'", "''")))
        _chosen = directory
