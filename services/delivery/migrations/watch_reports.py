"""closing of messages with watch reports

Reports in the mailboxes of earlier builds are closed when they expire, and at once if their retraction is in
a mailbox too. Opt-outs before this migration are not known here.
"""

import datetime as dt

import orjson
import sqlalchemy as sa
from alembic import op

revision = "4e92d7c10b5a"
down_revision = "e3d8a5f0174b"
branch_labels = None
depends_on = None

REPORT = "kopuro.employer_report.delivered.v1"
RETRACTION = "kopuro.employer.report_retracted.v1"
MESSAGES = sa.table(
    "mailbox_messages",
    *map(
        sa.column,
        (
            "sequence",
            "message_id",
            "organization",
            "type",
            "body",
            "queued_at",
            "content",
            "closed_at",
            "closes_at",
        ),
    ),
)


def upgrade() -> None:
    reports = op.create_table(
        "delivered_reports",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("report_id", sa.String(length=36), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("delivered_reports_report", "delivered_reports", ["report_id"])
    op.create_index("delivered_reports_organization", "delivered_reports", ["organization", "sent_at"])
    op.create_index("delivered_reports_expires_at", "delivered_reports", ["expires_at"])
    op.create_table(
        "report_ends",
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_index("report_ends_ended_at", "report_ends", ["ended_at"])

    connection = op.get_bind()
    retractions = sa.select(MESSAGES.c.body, MESSAGES.c.queued_at).where(MESSAGES.c.type == RETRACTION)
    retracted = {
        orjson.loads(bytes(body))["data"]["report_id"]: at for body, at in connection.execute(retractions)
    }
    sequences = sa.select(MESSAGES.c.sequence).where(
        MESSAGES.c.type == REPORT, MESSAGES.c.closed_at.is_(None)
    )
    for sequence in connection.execute(sequences).scalars().all():
        # One at a time: each body may have 100 kB.
        row = connection.execute(sa.select(MESSAGES).where(MESSAGES.c.sequence == sequence)).one()
        event = orjson.loads(bytes(row.body))
        report_id, expires_at = event["data"]["report_id"], _microseconds(event["data"]["expires_at"])
        changed = sa.update(MESSAGES).where(MESSAGES.c.sequence == sequence)
        if report_id in retracted:
            closed_at = retracted[report_id]
            connection.execute(changed.values(content="retracted", closed_at=closed_at, body=b""))
            continue
        connection.execute(changed.values(content="open", closes_at=expires_at))
        connection.execute(
            sa.insert(reports).values(
                message_id=row.message_id,
                report_id=report_id,
                organization=row.organization,
                sent_at=_microseconds(event["time"]),
                expires_at=expires_at,
            )
        )


def _microseconds(time: str) -> int:
    since = dt.datetime.fromisoformat(time) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return since // dt.timedelta(microseconds=1)


def downgrade() -> None:
    op.execute(
        sa.update(MESSAGES)
        .where(MESSAGES.c.type == REPORT, MESSAGES.c.content == "open")
        .values(content=None, closes_at=None)
    )
    op.drop_table("report_ends")
    op.drop_table("delivered_reports")
