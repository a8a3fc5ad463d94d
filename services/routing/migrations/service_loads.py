"""the load of each service, and when each organisation was last asked"""

import sqlalchemy as sa
from alembic import op

revision = "b7d2c95e1f46"
down_revision = "b7d20c58e4a1"
branch_labels = None
depends_on = None

_COUNT_HELD = (
    "INSERT INTO held (organization, service, referrals)"
    " SELECT offers.organization, offers.service, count(*)"
    " FROM offers JOIN referrals ON referrals.id = offers.referral_id"
    " AND referrals.acceptor = offers.organization"
    " WHERE offers.state = 'accepted' AND referrals.status IN ('accepted', 'in_progress', 'on_hold')"
    " GROUP BY 1, 2"
)
_URGENCY_SQLITE = "json_extract(facts, '$.urgency')"
_URGENCY_POSTGRESQL = "facts::json ->> 'urgency'"
_COUNT_BY_SERVICE = (
    "INSERT INTO demand (organization, service, sender, urgency, offers, waiting)"
    " SELECT organization, service, sender, urgency, sum(offers), sum(waiting) FROM ("
    " SELECT organization, service, sender, json_extract(facts, '$.urgency') AS urgency,"
    " 1 AS offers, 0 AS waiting"
    " FROM offers JOIN referrals ON referrals.id = offers.referral_id WHERE offers.state = 'open'"
    " UNION ALL SELECT organization, service, sender, urgency, 0, 1 FROM waiting"
    ") AS places GROUP BY 1, 2, 3, 4"
)
# A referral waits once for an organisation, for whichever of its services.
_COUNT_BY_ORGANIZATION = (
    "INSERT INTO demand (organization, sender, urgency, offers, waiting)"
    " SELECT organization, sender, urgency, sum(offers), sum(waiting) FROM ("
    " SELECT organization, sender, json_extract(facts, '$.urgency') AS urgency, 1 AS offers, 0 AS waiting"
    " FROM offers JOIN referrals ON referrals.id = offers.referral_id WHERE offers.state = 'open'"
    " UNION ALL SELECT organization, sender, urgency, 0, 1"
    " FROM (SELECT DISTINCT referral_id, organization, sender, urgency FROM waiting) AS pairs"
    ") AS places GROUP BY 1, 2, 3"
)


def upgrade() -> None:
    op.create_table(
        "held",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("service", sa.String(length=60), nullable=False),
        sa.Column("referrals", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "service"),
    )
    op.execute(_COUNT_HELD)
    op.drop_table("demand")
    op.create_table(
        "demand",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("service", sa.String(length=60), nullable=False),
        sa.Column("sender", sa.String(length=100), nullable=False),
        sa.Column("urgency", sa.String(length=20), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "service", "sender", "urgency"),
    )
    op.execute(_for_this_database(_COUNT_BY_SERVICE))
    op.add_column("observations", sa.Column("last_asked", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE observations SET last_asked = (SELECT max(opened_at) FROM offers"
        " WHERE offers.organization = observations.organization)"
    )
    with op.batch_alter_table("observations") as batch_op:
        batch_op.drop_column("held")
        batch_op.drop_column("asked")


def downgrade() -> None:
    op.add_column("observations", sa.Column("held", sa.Integer(), nullable=True))
    op.add_column("observations", sa.Column("asked", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE observations SET"
        " held = (SELECT coalesce(sum(referrals), 0) FROM held"
        " WHERE held.organization = observations.organization),"
        " asked = (SELECT coalesce(sum(offers), 0) FROM demand"
        " WHERE demand.organization = observations.organization)"
    )
    with op.batch_alter_table("observations") as batch_op:
        batch_op.alter_column("held", existing_type=sa.Integer(), nullable=False)
        batch_op.alter_column("asked", existing_type=sa.Integer(), nullable=False)
        batch_op.drop_column("last_asked")
    op.drop_table("held")
    op.drop_table("demand")
    op.create_table(
        "demand",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("sender", sa.String(length=100), nullable=False),
        sa.Column("urgency", sa.String(length=20), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "sender", "urgency"),
    )
    op.execute(_for_this_database(_COUNT_BY_ORGANIZATION))


def _for_this_database(sql: str) -> str:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    return sql.replace(_URGENCY_SQLITE, _URGENCY_POSTGRESQL) if on_postgresql else sql
