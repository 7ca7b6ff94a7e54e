"""frames, observations, alerts, quarantine"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "frames",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("spool_bytes", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("captured_utc", sa.DateTime(), nullable=True),
        sa.Column("captured_original", sa.String(), nullable=False),
        sa.Column("captured_timezone", sa.String(length=64), nullable=False),
        sa.Column("captured_origin", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("frame_rate", sa.Float(), nullable=True),
        sa.Column("damage", sa.String(), nullable=False),
        sa.Column("stage_ms", sa.JSON(), nullable=True),
        sa.Column("pictures", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_frames")),
        sa.UniqueConstraint("station", "id", name=op.f("uq_frames_station_id")),
    )
    with op.batch_alter_table("frames", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_frames_state_pk"), ["state", "pk"], unique=False)
        batch_op.create_index(batch_op.f("ix_frames_station_captured_utc"), ["station", "captured_utc"], unique=False)
        batch_op.create_index(batch_op.f("ix_frames_station_sha256"), ["station", "sha256"], unique=False)

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
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alerts_frame_pk"), ["frame_pk"], unique=False)
        batch_op.create_index(batch_op.f("ix_alerts_state_next_attempt_at"), ["state", "next_attempt_at"], unique=False)

    op.create_table(
        "observations",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("frame_pk", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("time_s", sa.Float(), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("x", sa.Float(), nullable=False),
        sa.Column("y", sa.Float(), nullable=False),
        sa.Column("w", sa.Float(), nullable=False),
        sa.Column("h", sa.Float(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("taxon", sa.String(), nullable=False),
        sa.Column("taxon_rank", sa.String(length=16), nullable=False),
        sa.Column("taxon_score", sa.Float(), nullable=True),
        sa.Column("detection", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["frame_pk"], ["frames.pk"], name=op.f("fk_observations_frame_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_observations")),
    )
    with op.batch_alter_table("observations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_observations_frame_pk"), ["frame_pk"], unique=False)
        batch_op.create_index(batch_op.f("ix_observations_taxon"), ["taxon"], unique=False)

    op.create_table(
        "quarantine",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("frame_pk", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["frame_pk"], ["frames.pk"], name=op.f("fk_quarantine_frame_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_quarantine")),
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quarantine_frame_pk"), ["frame_pk"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quarantine_frame_pk"))

    op.drop_table("quarantine")
    with op.batch_alter_table("observations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_observations_taxon"))
        batch_op.drop_index(batch_op.f("ix_observations_frame_pk"))

    op.drop_table("observations")
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_alerts_state_next_attempt_at"))
        batch_op.drop_index(batch_op.f("ix_alerts_frame_pk"))

    op.drop_table("alerts")
    with op.batch_alter_table("frames", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_frames_station_sha256"))
        batch_op.drop_index(batch_op.f("ix_frames_station_captured_utc"))
        batch_op.drop_index(batch_op.f("ix_frames_state_pk"))

    op.drop_table("frames")
