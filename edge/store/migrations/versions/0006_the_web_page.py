"""the web page: people who log in, summaries that pages read, days whose summaries are out of date"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TRIGGERS = {
    "frames_stale_added": """
        AFTER INSERT ON frames WHEN NEW.state = 'recorded'
        BEGIN
            INSERT INTO stale_days (station, day)
                VALUES (NEW.station, substr(coalesce(NEW.captured_utc, NEW.received_at), 1, 10))
                ON CONFLICT (station, day) DO UPDATE SET marks = marks + 1;
        END""",
    "frames_stale_changed": """
        AFTER UPDATE OF state, captured_utc, people, full_pk, infrared ON frames
        WHEN NEW.state = 'recorded' OR OLD.state = 'recorded'
        BEGIN
            INSERT INTO stale_days (station, day)
                VALUES (OLD.station, substr(coalesce(OLD.captured_utc, OLD.received_at), 1, 10))
                ON CONFLICT (station, day) DO UPDATE SET marks = marks + 1;
            INSERT INTO stale_days (station, day)
                VALUES (NEW.station, substr(coalesce(NEW.captured_utc, NEW.received_at), 1, 10))
                ON CONFLICT (station, day) DO UPDATE SET marks = marks + 1;
        END""",
    "observations_stale_changed": """
        AFTER UPDATE OF suspect_pk, taxon, category ON observations
        BEGIN
            INSERT INTO stale_days (station, day)
                SELECT station, substr(coalesce(frames.captured_utc, frames.received_at), 1, 10)
                FROM frames WHERE pk = NEW.frame_pk
                ON CONFLICT (station, day) DO UPDATE SET marks = marks + 1;
        END""",
    "suspects_stale_changed": """
        AFTER UPDATE OF state ON suspects WHEN NEW.state != OLD.state
        BEGIN
            INSERT INTO stale_days (station, day)
                SELECT frames.station, substr(coalesce(frames.captured_utc, frames.received_at), 1, 10)
                FROM observations JOIN frames ON frames.pk = observations.frame_pk
                WHERE observations.suspect_pk = NEW.pk
                ON CONFLICT (station, day) DO UPDATE SET marks = marks + 1;
        END""",
    "reviews_stale_added": """
        AFTER INSERT ON reviews
        BEGIN
            INSERT INTO stale_days (station, day)
                SELECT station, substr(coalesce(frames.captured_utc, frames.received_at), 1, 10)
                FROM frames WHERE pk = NEW.frame_pk
                ON CONFLICT (station, day) DO UPDATE SET marks = marks + 1;
        END""",
    "reviews_stale_changed": """
        AFTER UPDATE ON reviews
        BEGIN
            INSERT INTO stale_days (station, day)
                SELECT station, substr(coalesce(frames.captured_utc, frames.received_at), 1, 10)
                FROM frames WHERE pk = NEW.frame_pk
                ON CONFLICT (station, day) DO UPDATE SET marks = marks + 1;
        END""",
}
# What was recorded before has no summaries yet.
FIRST = """
    INSERT OR IGNORE INTO stale_days (station, day)
    SELECT DISTINCT station, substr(coalesce(captured_utc, received_at), 1, 10) FROM frames WHERE state = 'recorded'"""


def upgrade() -> None:
    op.create_table(
        "days",
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("blanks", sa.Integer(), nullable=False),
        sa.Column("animals", sa.Integer(), nullable=False),
        sa.Column("humans", sa.Integer(), nullable=False),
        sa.Column("vehicles", sa.Integer(), nullable=False),
        sa.Column("sequences", sa.Integer(), nullable=False),
        sa.Column("unreviewed", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(), nullable=False),
        sa.Column("last_at", sa.DateTime(), nullable=False),
        sa.Column("received", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("station", "day", name=op.f("pk_days")),
    )
    op.create_index(op.f("ix_days_day"), "days", ["day"])
    op.create_table(
        "stale_days",
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("marks", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("station", "day", name=op.f("pk_stale_days")),
    )
    op.create_table(
        "summary_state",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_summary_state")),
    )
    op.create_table(
        "tallies",
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("taxon", sa.String(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("individuals", sa.Integer(), nullable=False),
        sa.Column("hours", sa.JSON(), nullable=False),
        sa.Column("first_at", sa.DateTime(), nullable=False),
        sa.Column("last_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("station", "period", "kind", "taxon", name=op.f("pk_tallies")),
    )
    op.create_index(op.f("ix_tallies_taxon_station_period"), "tallies", ["taxon", "station", "period"])
    columns = ["period", "kind", "taxon", "station"]
    op.create_index(op.f("ix_tallies_period_kind_taxon_station"), "tallies", columns)
    op.create_table(
        "throttle",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_throttle")),
    )
    op.create_index(op.f("ix_throttle_last_at"), "throttle", ["last_at"])
    op.create_table(
        "users",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("password", sa.String(length=256), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("stations", sa.JSON(), nullable=True),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("password_at", sa.DateTime(), nullable=True),
        sa.Column("seen_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_users")),
        sa.UniqueConstraint("key", name=op.f("uq_users_key")),
    )
    op.create_table(
        "api_tokens",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("user_pk", sa.Integer(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_pk"], ["users.pk"], name=op.f("fk_api_tokens_user_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token", name=op.f("uq_api_tokens_token")),
    )
    op.create_index(op.f("ix_api_tokens_user_pk"), "api_tokens", ["user_pk"])
    op.create_table(
        "favourites",
        sa.Column("frame_pk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["frame_pk"], ["frames.pk"], name=op.f("fk_favourites_frame_pk")),
        sa.PrimaryKeyConstraint("frame_pk", name=op.f("pk_favourites")),
    )
    op.create_table(
        "invitations",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("user_pk", sa.Integer(), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("stations", sa.JSON(), nullable=True),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_pk"], ["users.pk"], name=op.f("fk_invitations_user_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_invitations")),
        sa.UniqueConstraint("token", name=op.f("uq_invitations_token")),
    )
    op.create_index(op.f("ix_invitations_user_pk"), "invitations", ["user_pk"])
    op.create_table(
        "sequences",
        sa.Column("pk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("bucket", sa.String(length=10), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=False),
        sa.Column("timed", sa.Boolean(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("clips", sa.Integer(), nullable=False),
        sa.Column("best_frame_pk", sa.Integer(), nullable=False),
        sa.Column("best_number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("taxon", sa.String(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("shown_kind", sa.String(length=16), nullable=False),
        sa.Column("shown_taxon", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("night", sa.Boolean(), nullable=False),
        sa.Column("unreviewed", sa.Integer(), nullable=False),
        sa.Column("disagrees", sa.Boolean(), nullable=False),
        sa.Column("people", sa.Boolean(), nullable=False),
        sa.Column("favourite", sa.Boolean(), nullable=False),
        sa.Column("shows", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["best_frame_pk"], ["frames.pk"], name=op.f("fk_sequences_best_frame_pk")),
        sa.ForeignKeyConstraint(["pk"], ["frames.pk"], name=op.f("fk_sequences_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_sequences")),
    )
    op.create_index(
        "ix_sequences_disputed",
        "sequences",
        ["started_at", "pk"],
        sqlite_where=sa.text("disagrees"),
        postgresql_where=sa.text("disagrees"),
    )
    op.create_index(
        "ix_sequences_favourite",
        "sequences",
        ["started_at", "pk"],
        sqlite_where=sa.text("favourite"),
        postgresql_where=sa.text("favourite"),
    )
    op.create_index(op.f("ix_sequences_shown_kind_started_at_pk"), "sequences", ["shown_kind", "started_at", "pk"])
    op.create_index(op.f("ix_sequences_shown_taxon_started_at_pk"), "sequences", ["shown_taxon", "started_at", "pk"])
    op.create_index(op.f("ix_sequences_started_at_pk"), "sequences", ["started_at", "pk"])
    op.create_index(op.f("ix_sequences_station_bucket"), "sequences", ["station", "bucket"])
    op.create_index(op.f("ix_sequences_station_started_at_pk"), "sequences", ["station", "started_at", "pk"])
    op.create_index(
        "ix_sequences_station_to_review",
        "sequences",
        ["station", "started_at", "pk"],
        sqlite_where=sa.text("unreviewed > 0"),
        postgresql_where=sa.text("unreviewed > 0"),
    )
    op.create_index(
        "ix_sequences_to_review",
        "sequences",
        ["started_at", "pk"],
        sqlite_where=sa.text("unreviewed > 0"),
        postgresql_where=sa.text("unreviewed > 0"),
    )
    op.create_table(
        "sessions",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("user_pk", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["user_pk"], ["users.pk"], name=op.f("fk_sessions_user_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token", name=op.f("uq_sessions_token")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"])
    op.create_index(op.f("ix_sessions_user_pk"), "sessions", ["user_pk"])
    op.create_table(
        "sequence_frames",
        sa.Column("frame_pk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence_pk", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["frame_pk"], ["frames.pk"], name=op.f("fk_sequence_frames_frame_pk")),
        sa.ForeignKeyConstraint(["sequence_pk"], ["sequences.pk"], name=op.f("fk_sequence_frames_sequence_pk")),
        sa.PrimaryKeyConstraint("frame_pk", name=op.f("pk_sequence_frames")),
    )
    op.create_index(op.f("ix_sequence_frames_sequence_pk_position"), "sequence_frames", ["sequence_pk", "position"])
    op.create_index(op.f("ix_encounters_last_at_pk"), "encounters", ["last_at", "pk"])
    op.add_column("reviews", sa.Column("action", sa.String(length=64), nullable=False, server_default=""))
    op.create_index(
        op.f("ix_reviews_action"),
        "reviews",
        ["action"],
        sqlite_where=sa.text("action != ''"),
        postgresql_where=sa.text("action != ''"),
    )
    op.create_index(op.f("ix_audit_who_pk"), "audit", ["who", "pk"])
    op.create_index(
        "ix_frames_untimed",
        "frames",
        ["station", "received_at"],
        sqlite_where=sa.text("captured_utc IS NULL"),
        postgresql_where=sa.text("captured_utc IS NULL"),
    )
    op.execute(FIRST)
    for name, body in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {body}")


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER {name}")
    op.drop_index("ix_frames_untimed", "frames")
    op.drop_index(op.f("ix_audit_who_pk"), "audit")
    op.drop_index(op.f("ix_encounters_last_at_pk"), "encounters")
    op.drop_index(op.f("ix_reviews_action"), "reviews")
    op.drop_column("reviews", "action")
    for table in (
        "sequence_frames",
        "sessions",
        "sequences",
        "invitations",
        "favourites",
        "api_tokens",
        "users",
        "throttle",
        "tallies",
        "summary_state",
        "stale_days",
        "days",
    ):
        op.drop_table(table)
