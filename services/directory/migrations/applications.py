"""applications to join the network"""

import sqlalchemy as sa
from alembic import op

revision = "7be1f0c45d92"
down_revision = "2f7ac90be416"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "applications",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("salt", sa.String(length=43), nullable=True),
        sa.Column("reference_sha256", sa.String(length=64), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("approval_id", sa.String(length=36), nullable=True),
        sa.Column("organization", sa.String(length=100), nullable=True),
        sa.Column("decided_by", sa.String(length=100), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("applications_state", "applications", ["state", "id"])
    op.create_index("applications_expires_at", "applications", ["expires_at"])
    op.create_index("applications_reference", "applications", ["reference_sha256"], unique=True)
    op.create_index("applications_approval", "applications", ["approval_id"])


def downgrade() -> None:
    op.drop_table("applications")
