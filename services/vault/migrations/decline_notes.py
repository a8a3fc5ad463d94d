"""notes of declines that wait for routing's decision"""

import sqlalchemy as sa
from alembic import op

revision = "5b0c9d1e7a34"
down_revision = "74a1e07d5d6f"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "held_notes",
        sa.Column("submission_id", sa.String(length=64), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("submission_id"),
    )
    op.create_index("held_notes_referral", "held_notes", ["referral_id"])
    op.create_table(
        "answers",
        sa.Column("submission_id", sa.String(length=64), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("took_effect", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("submission_id"),
    )
    op.create_index("answers_referral", "answers", ["referral_id"])


def downgrade() -> None:
    op.drop_index("answers_referral", table_name="answers")
    op.drop_table("answers")
    op.drop_index("held_notes_referral", table_name="held_notes")
    op.drop_table("held_notes")
