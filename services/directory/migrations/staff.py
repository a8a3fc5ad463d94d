"""keys and ids of request proofs, endorsements of approvals, one key challenge for each new key

Challenges live for ten minutes, so those of the earlier table are dropped.
"""

import sqlalchemy as sa
from alembic import op

revision = "5d0c1f7e92ab"
down_revision = "c3e6a4b2bd53"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "proof_keys",
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=43), nullable=False),
        sa.PrimaryKeyConstraint("client_id"),
    )
    op.create_table(
        "used_proofs",
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("proof_id", sa.String(length=100), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "proof_id"),
    )
    op.create_index("used_proofs_until", "used_proofs", ["until"])
    op.add_column("approvals", sa.Column("endorsed_by", sa.String(length=100), nullable=True))
    op.add_column("approvals", sa.Column("endorsed_at", sa.BigInteger(), nullable=True))
    op.create_index("approvals_requester", "approvals", ["state", "requested_by"])
    op.drop_table("key_challenges")
    _challenges(sa.Column("kid", sa.String(length=43), nullable=False), "organization", "kid")


def downgrade() -> None:
    op.drop_table("key_challenges")
    _challenges(None, "organization")
    op.drop_index("approvals_requester", table_name="approvals")
    op.drop_column("approvals", "endorsed_at")
    op.drop_column("approvals", "endorsed_by")
    op.drop_index("used_proofs_until", table_name="used_proofs")
    op.drop_table("used_proofs")
    op.drop_table("proof_keys")


def _challenges(kid: sa.Column[str] | None, *primary: str) -> None:
    op.create_table(
        "key_challenges",
        sa.Column("organization", sa.String(length=100), nullable=False),
        *(() if kid is None else (kid,)),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=43), nullable=False),
        sa.Column("answer_sha256", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*primary),
    )
