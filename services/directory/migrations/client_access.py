"""a proof key for each secret of a client, which may have two for a while; notices of expiry"""

import sqlalchemy as sa
from alembic import op

revision = "9b7d0e52c1f4"
down_revision = "8c3d26eab4a3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rebuild("client_id", "secret_sha256")
    op.create_table(
        "expiry_notices",
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("credential", sa.String(length=100), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "credential", "expires_at", "days"),
    )


def downgrade() -> None:
    op.drop_table("expiry_notices")
    # A client with two secrets keeps one key; the other secret's key is registered with its next token.
    op.execute(
        "DELETE FROM proof_keys WHERE EXISTS (SELECT 1 FROM proof_keys AS other"
        " WHERE other.client_id = proof_keys.client_id AND other.secret_sha256 > proof_keys.secret_sha256)"
    )
    _rebuild("client_id")


def _rebuild(*primary: str) -> None:
    # SQLite cannot change a primary key.
    op.create_table(
        "proof_keys_rebuilt",
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=43), nullable=False),
        sa.PrimaryKeyConstraint(*primary),
    )
    op.execute("INSERT INTO proof_keys_rebuilt SELECT client_id, secret_sha256, key FROM proof_keys")
    op.drop_table("proof_keys")
    op.rename_table("proof_keys_rebuilt", "proof_keys")
