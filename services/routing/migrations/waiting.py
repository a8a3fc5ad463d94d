"""the demand of each sender at each candidate, and the referrals that wait for a place"""

import sqlalchemy as sa
from alembic import op

revision = "5d90b3f7c2e1"
down_revision = "e5a8c6d4df75"
branch_labels = None
depends_on = None

_COUNT_SQLITE = (
    "INSERT INTO demand (organization, sender, urgency, offers, waiting)"
    " SELECT organization, sender, json_extract(facts, '$.urgency'), count(*), 0"
    " FROM offers JOIN referrals ON referrals.id = offers.referral_id"
    " WHERE offers.state = 'open' GROUP BY 1, 2, 3"
)
_COUNT_POSTGRESQL = _COUNT_SQLITE.replace("json_extract(facts, '$.urgency')", "facts::json ->> 'urgency'")


def upgrade() -> None:
    op.create_table(
        "demand",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("sender", sa.String(length=100), nullable=False),
        sa.Column("urgency", sa.String(length=20), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "sender", "urgency"),
    )
    op.create_table(
        "waiting",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("service", sa.String(length=60), nullable=False),
        sa.Column("sender", sa.String(length=100), nullable=False),
        sa.Column("urgency", sa.String(length=20), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "organization", "service"),
    )
    op.create_index(
        "waiting_queue",
        "waiting",
        ["organization", "service", "sender", "urgency", "since", "referral_id"],
    )
    # Routing looks at every unplaced referral after a start, and writes then what each waits for.
    op.execute(_COUNT_POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _COUNT_SQLITE)


def downgrade() -> None:
    op.drop_index("waiting_queue", table_name="waiting")
    op.drop_table("waiting")
    op.drop_table("demand")
