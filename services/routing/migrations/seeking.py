"""the referrals that may get another offer"""

import sqlalchemy as sa
from alembic import op

revision = "d17a4be3c560"
down_revision = "6c2f8e0b91d4"
branch_labels = None
depends_on = None

_SQLITE = (
    "INSERT INTO seeking (referral_id, need, region, country, sender, receiver)"
    " SELECT id, json_extract(facts, '$.needs[0]'), json_extract(facts, '$.region'),"
    " substr(json_extract(facts, '$.region'), 1, 2), sender, json_extract(facts, '$.to')"
    " FROM referrals WHERE status = 'unplaced'"
    " OR (status = 'offered' AND json_extract(facts, '$.urgency') = 'emergency')"
)
_POSTGRESQL = (
    "INSERT INTO seeking (referral_id, need, region, country, sender, receiver)"
    " SELECT id, facts::json -> 'needs' ->> 0, facts::json ->> 'region',"
    " substr(facts::json ->> 'region', 1, 2), sender, facts::json ->> 'to'"
    " FROM referrals WHERE status = 'unplaced'"
    " OR (status = 'offered' AND facts::json ->> 'urgency' = 'emergency')"
)


def upgrade() -> None:
    op.create_table(
        "seeking",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("need", sa.String(length=60), nullable=False),
        sa.Column("region", sa.String(length=10), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("sender", sa.String(length=100), nullable=False),
        sa.Column("receiver", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("referral_id"),
    )
    op.create_index("seeking_region", "seeking", ["need", "region", "referral_id"])
    op.create_index("seeking_country", "seeking", ["need", "country", "referral_id"])
    op.create_index("seeking_sender", "seeking", ["sender", "referral_id"])
    op.create_index("seeking_receiver", "seeking", ["receiver", "referral_id"])
    op.execute(_POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE)


def downgrade() -> None:
    for name in ("receiver", "sender", "country", "region"):
        op.drop_index(f"seeking_{name}", table_name="seeking")
    op.drop_table("seeking")
