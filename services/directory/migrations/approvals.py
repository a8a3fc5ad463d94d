"""approvals, the history of sealing keys, the principals of clients

The history of keys before this version comes from the revisions. Their manner was not recorded: a key without
proof or approval counts as approved, which is the weaker of the two.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "b41f6d0c93e7"
down_revision = "898285d6c51d"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("principal", sa.String(length=100), nullable=False, server_default=""))
    op.create_index("clients_principal", "clients", ["principal"])
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("concerned", sa.String(length=100), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=True),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("basis", sa.String(length=100), nullable=False),
        sa.Column("requested_by", sa.String(length=100), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("decided_by", sa.String(length=100), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("approvals_open", "approvals", ["state", "kind", "subject"])
    op.create_index("approvals_organization", "approvals", ["organization", "id"])
    op.create_table(
        "key_challenges",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=43), nullable=False),
        sa.Column("answer_sha256", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization"),
    )
    op.create_table(
        "sealing_keys",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("manner", sa.String(length=20), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("approved_by", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("organization", "number"),
    )
    _fill(op.get_bind())


def downgrade() -> None:
    op.drop_table("sealing_keys")
    op.drop_table("key_challenges")
    op.drop_table("approvals")
    op.drop_index("clients_principal", table_name="clients")
    op.drop_column("clients", "principal")


def _fill(connection: sa.Connection) -> None:
    clients = connection.execute(sa.text("SELECT id, record FROM clients")).all()
    for row in clients:
        connection.execute(
            sa.text("UPDATE clients SET principal = :principal WHERE id = :id"),
            {"principal": json.loads(row.record)["principal"], "id": row.id},
        )
    revisions = connection.execute(
        sa.text(
            "SELECT id, number, changed_by, changed_at, record FROM revisions"
            " WHERE subject = 'organization' ORDER BY id, number"
        )
    )
    keys: list[dict[str, object]] = []
    for row in revisions:
        key = json.loads(row.record).get("sealing_key")
        previous = keys[-1] if keys and keys[-1]["organization"] == row.id else None
        if key is None or (previous is not None and previous["kid"] == key["kid"]):
            continue
        if previous is not None:
            previous["until"] = row.changed_at
        keys.append(
            {
                "organization": row.id,
                "number": row.number,
                "kid": key["kid"],
                "key": json.dumps(key),
                "since": row.changed_at,
                "until": None,
                "manner": "first" if previous is None else "approved",
                "by": row.changed_by,
            }
        )
    for kept in keys:
        connection.execute(
            sa.text(
                'INSERT INTO sealing_keys (organization, number, "key", since, until, manner, "by")'
                " VALUES (:organization, :number, :key, :since, :until, :manner, :by)"
            ),
            {name: value for name, value in kept.items() if name != "kid"},
        )
