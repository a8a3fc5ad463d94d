"""how many offers wait for an organisation's answer"""

import sqlalchemy as sa
from alembic import op

revision = "8b2e6f40c913"
down_revision = "079f921443f7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if "asked" in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("observations")}:
        return  # created by a build whose first revision had the column
    # An organisation whose first offer is still open had no row.
    op.execute(
        "INSERT INTO observations (organization, answered, expired, answer_seconds, held)"
        " SELECT DISTINCT organization, 0, 0, 0, 0 FROM offers WHERE state = 'open' ON CONFLICT DO NOTHING"
    )
    op.add_column("observations", sa.Column("asked", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE observations SET asked = (SELECT count(*) FROM offers"
        " WHERE offers.organization = observations.organization AND offers.state = 'open')"
    )
    with op.batch_alter_table("observations") as batch_op:
        batch_op.alter_column("asked", existing_type=sa.Integer(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("observations") as batch_op:
        batch_op.drop_column("asked")
