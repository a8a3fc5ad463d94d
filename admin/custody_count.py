"""`kopuro admin count-custody`: counts the cases in custody that were admitted before intake counted any.

The vault has these cases. The command may be repeated, and both services may run: a case that is counted
already stays as it is, and intake's own recount finds a case whose referral ends meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from runtime.storage.database import Database
from runtime.storage.sql_statement import SqlStatement
from services.intake.adapters.store import SqlAdmissionStore

# The cases that one transaction counts.
AT_ONCE: Final = 200

# A custody of an earlier build may have no sender yet. The parts of a case that the sum leaves out have a few
# hundred bytes.
_CASES: Final = SqlStatement(
    "SELECT custodies.referral_id, custodies.sender,"
    " length(sealed_cases.wrapped_key) + length(sealed_cases.ciphertext)"
    " FROM sealed_cases JOIN custodies ON custodies.referral_id = sealed_cases.referral_id"
    " WHERE sealed_cases.referral_id > ? AND custodies.sender IS NOT NULL"
    " ORDER BY sealed_cases.referral_id LIMIT ?"
)


def count_custody(vault: Database, intake: Database) -> int:
    """Count what the vault keeps and intake does not count; return the number of these cases.

    Raises DatabaseUnavailable.
    """
    store, counted = SqlAdmissionStore(), 0
    for page in _pages(vault):
        with intake.write() as transaction:
            counted += store.count_earlier(transaction, page)
    return counted


def _pages(vault: Database) -> Iterator[list[tuple[str, str, int]]]:
    after = ""
    while True:
        with vault.read() as transaction:
            page = [(row[0], row[1], row[2]) for row in _CASES.run(transaction, after, AT_ONCE)]
        if page:
            yield page
        if len(page) < AT_ONCE:
            return
        after = page[-1][0]
