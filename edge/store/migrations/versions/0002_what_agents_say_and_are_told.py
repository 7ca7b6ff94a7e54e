"""what agents say and are told: order and clock of frames, thumbnails, health, commands; a sum of waiting bytes"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Added one by one, as SQLite can: making the table anew would take hours and the space of all frames.
COLUMNS = (
    "boot VARCHAR(64) NOT NULL DEFAULT ''",
    "boot_count INTEGER NOT NULL DEFAULT 0",
    "seq INTEGER NOT NULL DEFAULT 0",
    "uptime_s FLOAT",
    "clock VARCHAR(16) NOT NULL DEFAULT ''",
    "triggered_by VARCHAR(16) NOT NULL DEFAULT ''",
    "stands_for VARCHAR(64) NOT NULL DEFAULT ''",
    "full_pk INTEGER REFERENCES frames (pk)",
)
TRIGGERS = {
    "frames_waiting_added": """
        AFTER INSERT ON frames WHEN NEW.state IN ('spooled', 'claimed') AND NEW.spool_bytes != 0
        BEGIN
            UPDATE counters SET value = value + NEW.spool_bytes WHERE name = 'waiting_bytes';
        END""",
    "frames_waiting_changed": """
        AFTER UPDATE OF state, spool_bytes ON frames
        WHEN NEW.state != OLD.state OR NEW.spool_bytes != OLD.spool_bytes
        BEGIN
            UPDATE counters SET value = value + NEW.spool_bytes * (NEW.state IN ('spooled', 'claimed'))
                - OLD.spool_bytes * (OLD.state IN ('spooled', 'claimed')) WHERE name = 'waiting_bytes';
        END""",
    "frames_waiting_removed": """
        AFTER DELETE ON frames WHEN OLD.state IN ('spooled', 'claimed') AND OLD.spool_bytes != 0
        BEGIN
            UPDATE counters SET value = value - OLD.spool_bytes WHERE name = 'waiting_bytes';
        END""",
}
FIRST_SUM = """
    INSERT INTO counters (name, value)
    SELECT 'waiting_bytes', coalesce(sum(spool_bytes), 0) FROM frames WHERE state IN ('spooled', 'claimed')"""


def upgrade() -> None:
    for column in COLUMNS:
        op.execute(f"ALTER TABLE frames ADD COLUMN {column}")
    op.create_index(op.f("ix_frames_id"), "frames", ["id"])
    op.create_index(op.f("ix_frames_full_pk"), "frames", ["full_pk"], sqlite_where=sa.text("full_pk IS NOT NULL"))
    op.create_index(op.f("ix_frames_station_boot_count_seq"), "frames", ["station", "boot_count", "seq"])
    op.create_index(op.f("ix_frames_station_stands_for"), "frames", ["station", "stands_for"])
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.execute(FIRST_SUM)
    for name, body in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {body}")
    op.create_table(
        "station_state",
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=True),
        sa.Column("online_since", sa.DateTime(), nullable=True),
        sa.Column("heard_at", sa.DateTime(), nullable=False),
        sa.Column("boot", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("clock_ok", sa.Boolean(), nullable=True),
        sa.Column("drift_s", sa.Float(), nullable=True),
        sa.Column("drifts", sa.Boolean(), nullable=False),
        sa.Column("health", sa.JSON(), nullable=True),
        sa.Column("health_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("station", name=op.f("pk_station_state")),
    )
    op.create_table(
        "station_health",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("drift_s", sa.Float(), nullable=True),
        sa.Column("drifts", sa.Boolean(), nullable=False),
        sa.Column("health", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_station_health")),
    )
    op.create_index(op.f("ix_station_health_station_received_at"), "station_health", ["station", "received_at"])
    op.create_table(
        "commands",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_commands")),
        sa.UniqueConstraint("id", name=op.f("uq_commands_id")),
    )
    op.create_index(op.f("ix_commands_state_pk"), "commands", ["state", "pk"])
    op.create_index(op.f("ix_commands_station_state"), "commands", ["station", "state"])


def downgrade() -> None:
    for table in ("commands", "station_health", "station_state"):
        op.drop_table(table)
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER {name}")
    op.drop_table("counters")
    for name in ("station_stands_for", "station_boot_count_seq", "full_pk", "id"):
        op.drop_index(op.f(f"ix_frames_{name}"), table_name="frames")
    for column in reversed(COLUMNS):
        op.execute(f"ALTER TABLE frames DROP COLUMN {column.split()[0]}")
