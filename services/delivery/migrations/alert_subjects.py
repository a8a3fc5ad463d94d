"""the subjects of alerts that are about no referral

The alerts that wait in the coordinators' mailbox get theirs, so that a later decision closes them.
"""

import orjson
import sqlalchemy as sa
from alembic import op

revision = "c7f2a9d41e58"
down_revision = "b3e905c27f41"
branch_labels = None
depends_on = None

HAS_SUBJECT = sa.text("subject IS NOT NULL")
APPLICATION = "kopuro.application.submitted.v1"
APPROVAL = "kopuro.service_approval.ended.v1"
DECLINED_PART = "kopuro.referral.acceptor_declined_part.v1"
MESSAGES = sa.table(
    "mailbox_messages",
    *map(
        sa.column,
        ("sequence", "organization", "type", "body", "acknowledged_at", "content", "closed_at", "subject"),
    ),
)


def upgrade() -> None:
    op.add_column("mailbox_messages", sa.Column("subject", sa.String(length=240)))
    op.create_index(
        "mailbox_messages_subject",
        "mailbox_messages",
        ["subject"],
        sqlite_where=HAS_SUBJECT,
        postgresql_where=HAS_SUBJECT,
    )
    connection = op.get_bind()
    waits = (
        MESSAGES.c.organization == "coordinators",
        MESSAGES.c.acknowledged_at.is_(None),
        MESSAGES.c.content.is_(None),
    )
    wanted = sa.select(MESSAGES.c.sequence, MESSAGES.c.type, MESSAGES.c.body)
    rows = connection.execute(wanted.where(MESSAGES.c.type.in_((APPLICATION, APPROVAL)), *waits)).all()
    for sequence, message_type, body in rows:
        data = orjson.loads(bytes(body))["data"]
        if message_type == APPLICATION:
            subject = f"application:{data['application_id']}"
        elif data["reason"] == "widened":
            subject = f"service:{data['organization']}/{data['service']}"
        else:
            continue
        changed = sa.update(MESSAGES).where(MESSAGES.c.sequence == sequence)
        connection.execute(changed.values(subject=subject, content="open"))
    connection.execute(
        sa.update(MESSAGES).where(MESSAGES.c.type == DECLINED_PART, *waits).values(content="open")
    )


def downgrade() -> None:
    op.execute(
        sa.update(MESSAGES)
        .where(MESSAGES.c.type.in_((APPLICATION, APPROVAL, DECLINED_PART)), MESSAGES.c.content == "open")
        .values(content=None)
    )
    op.drop_index("mailbox_messages_subject", table_name="mailbox_messages")
    with op.batch_alter_table("mailbox_messages") as batch_op:
        batch_op.drop_column("subject")
