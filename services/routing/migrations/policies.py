"""policies, and the directory's changes as routing read them: append-only"""

import sqlalchemy as sa
from alembic import op

revision = "7c0e5b92d4a1"
down_revision = "b7d2c95e1f46"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "policies",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("applied_by", sa.String(length=200), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "replica_changes",
        sa.Column("change", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("revision", _NUMBER, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("change"),
    )
    # Later decisions depend on what routing has read until now.
    op.execute(
        "INSERT INTO replica_changes (change, type, key, revision)"
        " SELECT change, type, key, revision FROM replica"
        " WHERE type IN ('kopuro.organization.changed.v1', 'kopuro.agreement.changed.v1')"
    )


def downgrade() -> None:
    op.drop_table("replica_changes")
    op.drop_table("policies")
