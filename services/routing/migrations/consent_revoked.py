"""referrals whose consent was revoked"""

import sqlalchemy as sa
from alembic import op

revision = "e83b6f20a9d4"
down_revision = "7a41c8e05d93"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("referrals", sa.Column("consent_revoked", sa.Boolean()))


def downgrade() -> None:
    op.drop_column("referrals", "consent_revoked")
