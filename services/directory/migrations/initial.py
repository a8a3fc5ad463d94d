"""The directory's first schema: current entries, their revisions, the index of services."""

import sqlalchemy as sa
from alembic import op

from runtime.messaging.migrations import (
    create_inbox,
    create_outbox,
    create_retries,
)

revision = "898285d6c51d"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agreements",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    create_inbox()

    op.create_table(
        "organizations",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    create_outbox()
    create_retries()

    op.create_table(
        "revisions",
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Integer(), nullable=True),
        sa.Column("changed_by", sa.String(length=100), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "id", "number"),
    )
    op.create_table(
        "services",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("service", sa.String(length=60), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "service"),
    )
    op.create_table(
        "token_keys",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "service_areas",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("service", sa.String(length=60), nullable=False),
        sa.Column("area", sa.String(length=60), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization", "service"], ["services.organization", "services.service"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization", "service", "area"),
    )
    op.create_index("service_areas_area", "service_areas", ["area", "organization", "service"])

    op.create_table(
        "service_needs",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("service", sa.String(length=60), nullable=False),
        sa.Column("need", sa.String(length=60), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization", "service"], ["services.organization", "services.service"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization", "service", "need"),
    )
    op.create_index("service_needs_need", "service_needs", ["need", "organization", "service"])


def downgrade() -> None:
    op.drop_table("service_needs")
    op.drop_table("service_areas")
    op.drop_table("token_keys")
    op.drop_table("services")
    op.drop_table("revisions")
    op.drop_table("retries")
    op.drop_table("outbox")
    op.drop_table("organizations")
    op.drop_table("inbox")
    op.drop_table("clients")
    op.drop_table("agreements")
