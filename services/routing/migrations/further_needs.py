"""the further needs of unplaced referrals that may be split"""

import sqlalchemy as sa
from alembic import op

revision = "a3e81f5c92d7"
down_revision = "5d90b7e1f3a6"
branch_labels = None
depends_on = None

_SQLITE = (
    "INSERT INTO further_needs (referral_id, need, region, country)"
    " SELECT DISTINCT referrals.id, needs.value, json_extract(facts, '$.region'),"
    " substr(json_extract(facts, '$.region'), 1, 2)"
    " FROM referrals, json_each(facts, '$.needs') AS needs"
    " WHERE status = 'unplaced' AND part_of IS NULL AND parts IS NULL"
    " AND json_extract(facts, '$.to') IS NULL"
    " AND json_extract(facts, '$.consent.several_organizations')"
    " AND needs.value <> json_extract(facts, '$.needs[0]')"
)
_POSTGRESQL = (
    "INSERT INTO further_needs (referral_id, need, region, country)"
    " SELECT DISTINCT referrals.id, needs.value, facts::json ->> 'region',"
    " substr(facts::json ->> 'region', 1, 2)"
    " FROM referrals, json_array_elements_text(facts::json -> 'needs') AS needs (value)"
    " WHERE status = 'unplaced' AND part_of IS NULL AND parts IS NULL"
    " AND facts::json ->> 'to' IS NULL"
    " AND facts::json -> 'consent' ->> 'several_organizations' = 'true'"
    " AND needs.value <> facts::json -> 'needs' ->> 0"
)


def upgrade() -> None:
    op.create_table(
        "further_needs",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("need", sa.String(length=60), nullable=False),
        sa.Column("region", sa.String(length=10), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "need"),
    )
    op.create_index("further_needs_region", "further_needs", ["need", "region", "referral_id"])
    op.create_index("further_needs_country", "further_needs", ["need", "country", "referral_id"])
    op.execute(_POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE)


def downgrade() -> None:
    for name in ("country", "region"):
        op.drop_index(f"further_needs_{name}", table_name="further_needs")
    op.drop_table("further_needs")
