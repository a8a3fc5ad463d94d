"""Steps of the services' migrations that change the messaging tables. A released step never changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


def add_signatures() -> None:
    """Add the signatures of waiting messages, and the newest manifest that the service has used.

    A message that waited before has no signature, and is dead-lettered at its next attempt.
    """
    with op.batch_alter_table("retries") as retries:
        retries.add_column(sa.Column("signed", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "manifests",
        sa.Column("hub", sa.String(length=2), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hub"),
    )


def drop_signatures() -> None:
    """Undo `add_signatures`."""
    op.drop_table("manifests")
    with op.batch_alter_table("retries") as retries:
        retries.drop_column("signed")
