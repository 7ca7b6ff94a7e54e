"""deployments, clocks put right, repeated detections, reviews, an audit; what files say of bursts and light"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FRAME_COLUMNS = (
    "said_utc DATETIME",
    "camera VARCHAR(128) NOT NULL DEFAULT ''",
    "burst VARCHAR(64) NOT NULL DEFAULT ''",
    "burst_number INTEGER",
    "brightness FLOAT",
    "infrared BOOLEAN",
    "people BOOLEAN NOT NULL DEFAULT 0",
    "original VARCHAR(16) NOT NULL DEFAULT 'kept'",
    "details JSON",
)
OBSERVATION_COLUMNS = (
    "track INTEGER",
    "remark VARCHAR NOT NULL DEFAULT ''",
    "suspect_pk INTEGER REFERENCES suspects (pk)",
    "details JSON",
)
# Policies about people hold for what was recorded before there were any.
PEOPLE = """
    UPDATE frames SET people = 1 WHERE pk IN
        (SELECT frame_pk FROM observations WHERE category IN ('person', 'vehicle'))"""


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_action_at"), "audit", ["action", "at"])
    op.create_index(op.f("ix_audit_subject"), "audit", ["subject"])
    op.create_table(
        "clock_corrections",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=True),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.Column("offset_s", sa.Float(), nullable=False),
        sa.Column("anchor", sa.DateTime(), nullable=True),
        sa.Column("drift_s_per_day", sa.Float(), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("undone_by", sa.String(), nullable=False),
        sa.Column("undone_at", sa.DateTime(), nullable=True),
        sa.Column("applied_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_clock_corrections")),
    )
    op.create_index(op.f("ix_clock_corrections_station"), "clock_corrections", ["station"])
    op.create_table(
        "deployments",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("uncertainty_m", sa.Float(), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("camera_id", sa.String(length=128), nullable=False),
        sa.Column("camera_model", sa.String(length=128), nullable=False),
        sa.Column("height_m", sa.Float(), nullable=True),
        sa.Column("tilt_deg", sa.Float(), nullable=True),
        sa.Column("heading_deg", sa.Float(), nullable=True),
        sa.Column("bait", sa.String(), nullable=False),
        sa.Column("feature", sa.String(), nullable=False),
        sa.Column("habitat", sa.String(), nullable=False),
        sa.Column("setup_by", sa.String(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=True),
        sa.Column("comments", sa.String(), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_deployments")),
        sa.UniqueConstraint("id", name=op.f("uq_deployments_id")),
    )
    op.create_index(op.f("ix_deployments_station_started_at"), "deployments", ["station", "started_at"])
    op.create_table(
        "suspects",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("deployment", sa.String(length=128), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("x", sa.Float(), nullable=False),
        sa.Column("y", sa.Float(), nullable=False),
        sa.Column("w", sa.Float(), nullable=False),
        sa.Column("h", sa.Float(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(), nullable=False),
        sa.Column("last_at", sa.DateTime(), nullable=False),
        sa.Column("example_pk", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("found_at", sa.DateTime(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["example_pk"], ["frames.pk"], name=op.f("fk_suspects_example_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_suspects")),
    )
    op.create_index(op.f("ix_suspects_example_pk"), "suspects", ["example_pk"])
    op.create_index(op.f("ix_suspects_station_state"), "suspects", ["station", "state"])
    op.create_table(
        "reviews",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("frame_pk", sa.Integer(), nullable=False),
        sa.Column("observation_pk", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("taxon", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("sex", sa.String(length=16), nullable=False),
        sa.Column("life_stage", sa.String(length=16), nullable=False),
        sa.Column("behaviour", sa.String(), nullable=False),
        sa.Column("comments", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("undone_by", sa.String(), nullable=False),
        sa.Column("undone_at", sa.DateTime(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["frame_pk"], ["frames.pk"], name=op.f("fk_reviews_frame_pk")),
        sa.ForeignKeyConstraint(["observation_pk"], ["observations.pk"], name=op.f("fk_reviews_observation_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_reviews")),
    )
    op.create_index(op.f("ix_reviews_frame_pk"), "reviews", ["frame_pk"])
    op.create_index(op.f("ix_reviews_observation_pk"), "reviews", ["observation_pk"])
    op.create_table(
        "imported_events",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=False),
        sa.Column("encounter_pk", sa.Integer(), nullable=True),
        sa.Column("row", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["encounter_pk"], ["encounters.pk"], name=op.f("fk_imported_events_encounter_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_imported_events")),
        sa.UniqueConstraint("number", name=op.f("uq_imported_events_number")),
    )
    op.create_index(op.f("ix_imported_events_encounter_pk"), "imported_events", ["encounter_pk"])
    op.create_index(op.f("ix_imported_events_station_started_at"), "imported_events", ["station", "started_at"])
    for column in FRAME_COLUMNS:
        op.execute(f"ALTER TABLE frames ADD COLUMN {column}")
    op.execute("UPDATE frames SET said_utc = captured_utc")
    op.execute(PEOPLE)
    for column in OBSERVATION_COLUMNS:
        op.execute(f"ALTER TABLE observations ADD COLUMN {column}")
    op.create_index(
        op.f("ix_frames_original_captured_utc"),
        "frames",
        ["original", "captured_utc"],
        sqlite_where=sa.text("original = 'withheld'"),
    )
    op.create_index(
        op.f("ix_frames_people_recorded_at"),
        "frames",
        ["people", "recorded_at"],
        sqlite_where=sa.text("people = 1 AND original = 'kept'"),
    )
    op.create_index(
        op.f("ix_observations_suspect_pk"),
        "observations",
        ["suspect_pk"],
        sqlite_where=sa.text("suspect_pk IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_observations_suspect_pk"), "observations")
    op.drop_index(op.f("ix_frames_people_recorded_at"), "frames")
    op.drop_index(op.f("ix_frames_original_captured_utc"), "frames")
    op.execute("UPDATE frames SET captured_utc = said_utc")
    for table, columns in (("observations", OBSERVATION_COLUMNS), ("frames", FRAME_COLUMNS)):
        for column in columns:
            op.execute(f"ALTER TABLE {table} DROP COLUMN {column.split()[0]}")
    for table in ("imported_events", "audit", "reviews", "suspects", "clock_corrections", "deployments"):
        op.drop_table(table)
