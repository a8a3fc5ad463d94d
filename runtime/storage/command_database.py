"""The database of a command that runs without a service: named by KOPURO_DATABASE_URL."""

from __future__ import annotations

import argparse
import os

from runtime.secret_files import with_secrets
from runtime.storage.database import Database
from runtime.storage.database_url import UnusableDatabaseUrl
from runtime.tls import DATABASE, UnusableTlsFiles, tls_files


def open_database(parser: argparse.ArgumentParser) -> Database:
    """Open the database that the environment names. Ends the command with status 2 if it names none
    or an unusable one."""
    environ, problems = with_secrets(os.environ)
    if problems:
        parser.error("; ".join(problems))
    url = environ.get("KOPURO_DATABASE_URL")
    if not url:
        parser.error("KOPURO_DATABASE_URL is not set")
    try:
        return Database.open(url, tls=tls_files(DATABASE, os.environ))
    except UnusableDatabaseUrl as error:
        parser.error(f"KOPURO_DATABASE_URL {error}")
    except UnusableTlsFiles as error:
        parser.error(str(error))
