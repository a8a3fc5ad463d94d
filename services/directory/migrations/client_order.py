"""the order in which clients were registered; the client that requested an approval"""

import sqlalchemy as sa
from alembic import op

revision = "c4a91e7d2b60"
down_revision = "7be1f0c45d92"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("approvals", sa.Column("client", sa.String(length=100), nullable=True))
    op.add_column("clients", sa.Column("registered", sa.Integer(), nullable=False, server_default="0"))
    # Clients of one time stay together: none of them is earlier than another.
    op.execute(
        "UPDATE clients SET registered = (SELECT count(DISTINCT other.changed_at) FROM revisions AS other,"
        " revisions AS own WHERE other.subject = 'client' AND other.number = 1"
        " AND own.subject = 'client' AND own.number = 1 AND own.id = clients.id"
        " AND other.changed_at <= own.changed_at)"
    )
    with op.batch_alter_table("clients") as table:
        table.alter_column("registered", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("clients") as table:
        table.drop_column("registered")
    with op.batch_alter_table("approvals") as table:
        table.drop_column("client")
