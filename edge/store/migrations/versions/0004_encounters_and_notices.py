"""encounters, who was told what and why not, mutes and answers; alerts become notices"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The old outbox knew frames, not encounters: each alert becomes an encounter's only message. What waits goes out still.
CARRIED = """
    INSERT INTO notices (key, kind, addressee, who, channel, severity, station, rule, step, late, shows_people,
        encounter_pk, frame_pk, number, count, detection, state, reason, attempts, created_at, next_attempt_at, sent_at,
        error, receipt, receipt_state)
    SELECT alerts.key, 'alert', '@' || alerts.channel, '@' || alerts.channel, alerts.channel, 'warning', frames.station,
        alerts.rule, 0, 0, 0, NULL, alerts.frame_pk, alerts.picture_number, 1, alerts.detection, alerts.state, '',
        alerts.attempts, alerts.created_at, alerts.next_attempt_at, alerts.sent_at, alerts.error, '', ''
    FROM alerts JOIN frames ON frames.pk = alerts.frame_pk ORDER BY alerts.pk"""

# What the outbox of before has no place for: digests and the like go, what waited for one counts as failed.
GIVEN_BACK = """
    INSERT INTO alerts (key, rule, channel, frame_pk, picture_number, detection, state, attempts, created_at,
        next_attempt_at, sent_at, error)
    SELECT key, rule, channel, frame_pk, number, detection,
        CASE WHEN state IN ('pending', 'sending') THEN 'pending' WHEN state = 'sent' THEN 'sent' ELSE 'failed' END,
        attempts, created_at, next_attempt_at, sent_at, CASE error WHEN '' THEN reason ELSE error END
    FROM notices WHERE frame_pk IS NOT NULL AND detection IS NOT NULL ORDER BY pk"""


def upgrade() -> None:
    op.execute("ALTER TABLE frames ADD COLUMN waited_s FLOAT")
    op.create_table(
        "encounters",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("lineage", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("last_at", sa.DateTime(), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("best_frame_pk", sa.Integer(), nullable=False),
        sa.Column("best_number", sa.Integer(), nullable=False),
        sa.Column("best_quality", sa.Float(), nullable=False),
        sa.Column("acked_at", sa.DateTime(), nullable=True),
        sa.Column("acked_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["best_frame_pk"], ["frames.pk"], name=op.f("fk_encounters_best_frame_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_encounters")),
        sa.UniqueConstraint("uid", name=op.f("uq_encounters_uid")),
    )
    op.create_index(op.f("ix_encounters_code"), "encounters", ["code"])
    op.create_index(op.f("ix_encounters_best_frame_pk"), "encounters", ["best_frame_pk"])
    op.create_index(op.f("ix_encounters_station_last_at"), "encounters", ["station", "last_at"])
    op.create_index(op.f("ix_encounters_station_started_at"), "encounters", ["station", "started_at"])
    op.create_table(
        "matches",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("frame_pk", sa.Integer(), nullable=False),
        sa.Column("encounter_pk", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Float(), nullable=False),
        sa.Column("because", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["frame_pk"], ["frames.pk"], name=op.f("fk_matches_frame_pk")),
        sa.ForeignKeyConstraint(["encounter_pk"], ["encounters.pk"], name=op.f("fk_matches_encounter_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_matches")),
    )
    op.create_index(op.f("ix_matches_frame_pk"), "matches", ["frame_pk"])
    op.create_index(op.f("ix_matches_encounter_pk"), "matches", ["encounter_pk"])
    op.create_table(
        "notices",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("addressee", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("shows_people", sa.Boolean(), nullable=False),
        sa.Column("encounter_pk", sa.Integer(), nullable=True),
        sa.Column("frame_pk", sa.Integer(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("detection", sa.JSON(), nullable=True),
        sa.Column("words", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("receipt", sa.String(), nullable=False),
        sa.Column("receipt_state", sa.String(length=16), nullable=False),
        sa.Column("digest_pk", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["encounter_pk"], ["encounters.pk"], name=op.f("fk_notices_encounter_pk")),
        sa.ForeignKeyConstraint(["frame_pk"], ["frames.pk"], name=op.f("fk_notices_frame_pk")),
        sa.ForeignKeyConstraint(["digest_pk"], ["notices.pk"], name=op.f("fk_notices_digest_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_notices")),
        sa.UniqueConstraint("key", name=op.f("uq_notices_key")),
    )
    for columns in (["encounter_pk"], ["frame_pk"], ["digest_pk"], ["state", "next_attempt_at"], ["who", "sent_at"]):
        op.create_index(op.f(f"ix_notices_{'_'.join(columns)}"), "notices", columns)
    waiting = sa.text("receipt_state = 'waiting'")
    op.create_index(op.f("ix_notices_receipt_state"), "notices", ["receipt_state"], sqlite_where=waiting)
    op.execute(CARRIED)
    op.drop_table("alerts")
    op.create_table(
        "mutes",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_mutes")),
    )
    op.create_index(op.f("ix_mutes_who"), "mutes", ["who"])
    op.create_table(
        "replies",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_replies")),
        sa.UniqueConstraint("channel", "id", name=op.f("uq_replies_channel_id")),
    )
    op.create_index(op.f("ix_replies_sender_at"), "replies", ["sender", "at"])
    op.create_table(
        "watched",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("told_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_watched")),
    )


def downgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("frame_pk", sa.Integer(), nullable=False),
        sa.Column("picture_number", sa.Integer(), nullable=False),
        sa.Column("detection", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["frame_pk"], ["frames.pk"], name=op.f("fk_alerts_frame_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_alerts")),
        sa.UniqueConstraint("key", name=op.f("uq_alerts_key")),
    )
    op.create_index(op.f("ix_alerts_frame_pk"), "alerts", ["frame_pk"])
    op.create_index(op.f("ix_alerts_state_next_attempt_at"), "alerts", ["state", "next_attempt_at"])
    op.execute(GIVEN_BACK)
    for table in ("watched", "replies", "mutes", "notices", "matches", "encounters"):
        op.drop_table(table)
    op.execute("ALTER TABLE frames DROP COLUMN waited_s")
