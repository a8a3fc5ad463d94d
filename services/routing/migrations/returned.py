"""how many acceptances of each organisation were handed back or revoked

Earlier ones are not counted: their answer times are part of the sum.
"""

import sqlalchemy as sa
from alembic import op

revision = "91d4f0b6a27c"
down_revision = "5c0b7e29d4f8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("observations", sa.Column("returned", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("observations") as batch_op:
        batch_op.drop_column("returned")
