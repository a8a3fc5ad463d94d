"""keys of the vault's own: a key for each case, and the transit keys

Cases that are stored already have no key of their own. The vault gives them one at its next start.
"""

import sqlalchemy as sa
from alembic import op

revision = "c93d0f5a7e18"
down_revision = "f6b9d7e5e086"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sealed_cases", sa.Column("key_id", sa.String(length=36), nullable=True))
    op.create_table(
        "doomed_keys",
        sa.Column("key_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_table(
        "transit_keys",
        sa.Column("kid", sa.String(length=100), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("kid"),
    )


def downgrade() -> None:
    # The cases could not be opened without their keys, so it is refused while there are any.
    if op.get_bind().execute(sa.text("SELECT 1 FROM sealed_cases WHERE key_id IS NOT NULL")).first():
        raise RuntimeError("cases in custody are sealed with keys that the earlier build does not read")
    op.drop_table("transit_keys")
    op.drop_table("doomed_keys")
    with op.batch_alter_table("sealed_cases") as batch_op:
        batch_op.drop_column("key_id")
