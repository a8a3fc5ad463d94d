"""the coordinator who placed an offer by hand"""

import sqlalchemy as sa
from alembic import op

revision = "4c1de97a52b8"
down_revision = "8b2e6f40c913"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if "placed_by" in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("offers")}:
        return  # created by a build whose first revision had the column
    op.add_column("offers", sa.Column("placed_by", sa.String(100), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("offers") as batch_op:
        batch_op.drop_column("placed_by")
