"""the monthly statements, and what proves them: whom a decision asked, and which message commits to it"""

import sqlalchemy as sa
from alembic import op

revision = "7d3e90b1c5a8"
down_revision = "c2f81d4a9e05"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("decisions", sa.Column("asked", sa.Text()))
    op.add_column("decisions", sa.Column("logged_in", sa.String(length=36)))
    op.create_table(
        "asked_in_week",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("decisions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "week"),
    )
    op.create_table(
        "statements",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("logged_in", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("month", "organization"),
    )
    op.create_table(
        "issued_months",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("month"),
    )


def downgrade() -> None:
    op.drop_table("issued_months")
    op.drop_table("statements")
    op.drop_table("asked_in_week")
    with op.batch_alter_table("decisions") as batch_op:
        batch_op.drop_column("logged_in")
        batch_op.drop_column("asked")
