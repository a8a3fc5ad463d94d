"""the ids of organisations' current and earlier sealing keys"""

import sqlalchemy as sa
from alembic import op

revision = "e2a90c4417bd"
down_revision = "b7d1c2f05e83"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sealing_keys",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("kid", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("organization", "kid"),
    )


def downgrade() -> None:
    op.drop_table("sealing_keys")
