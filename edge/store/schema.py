"""The tables. Times are UTC; boxes are shares of the picture, 0..1, left, top, width, height."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(TypeDecorator[datetime]):
    """An aware datetime, kept as UTC in databases that know no zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # because SQLAlchemy calls it so
        """Aware in, naive UTC to the database."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # because SQLAlchemy calls it so
        """Naive UTC from the database, aware out."""
        return None if value is None else value.replace(tzinfo=UTC)


# state: spooled → claimed → recorded, or quarantined with `reason`. spool_bytes: 0 when the file lies where the source
# keeps it. pictures: JSON list of [number, time_s, rejected]. not_before: a frame given back waits until then.
# late: it came long after it was taken, and gives way to those that did not.
# boot … waited_s: what the agent said; clock is "" for frames of other sources. (boot_count, seq) is the order of a
# station's frames whatever its clock said. full_pk: of a thumbnail, the full frame it stands for, once that is here.
frames = Table(
    "frames",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("station", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("path", String, nullable=False),
    Column("name", String, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("spool_bytes", Integer, nullable=False, default=0),
    Column("source", String(64), nullable=False),
    Column("captured_utc", Utc),
    Column("captured_original", String, nullable=False, default=""),
    Column("captured_timezone", String(64), nullable=False, default="UTC"),
    Column("captured_origin", String(16), nullable=False, default="unknown"),
    Column("received_at", Utc, nullable=False),
    Column("state", String(16), nullable=False, default="spooled"),
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before", Utc),
    Column("reason", String, nullable=False, default=""),
    Column("recorded_at", Utc),
    Column("width", Integer),
    Column("height", Integer),
    Column("frame_rate", Float),
    Column("damage", String, nullable=False, default=""),
    Column("stage_ms", JSON),
    Column("pictures", JSON),
    Column("boot", String(64), nullable=False, default=""),
    Column("boot_count", Integer, nullable=False, default=0),
    Column("seq", Integer, nullable=False, default=0),
    Column("uptime_s", Float),
    Column("clock", String(16), nullable=False, default=""),
    Column("triggered_by", String(16), nullable=False, default=""),
    Column("stands_for", String(64), nullable=False, default=""),
    Column("waited_s", Float),
    Column("full_pk", ForeignKey("frames.pk")),
    Column("late", Boolean, nullable=False, default=False),
    UniqueConstraint("station", "id"),
    Index(None, "full_pk", sqlite_where=text("full_pk IS NOT NULL")),
    Index(None, "id"),
    Index(None, "station", "boot_count", "seq"),
    Index(None, "station", "stands_for"),  # of all rows: SQLite takes no partial index for several stations at once
    Index(None, "state", "late", "pk"),
    Index(None, "station", "sha256"),
    Index(None, "station", "captured_utc"),
)

observations = Table(
    "observations",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("frame_pk", ForeignKey("frames.pk"), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("time_s", Float, nullable=False),
    Column("category", String(16), nullable=False),
    Column("score", Float, nullable=False),
    Column("x", Float, nullable=False),
    Column("y", Float, nullable=False),
    Column("w", Float, nullable=False),
    Column("h", Float, nullable=False),
    Column("label", String, nullable=False, default=""),
    Column("taxon", String, nullable=False, default="", index=True),
    Column("taxon_rank", String(16), nullable=False, default=""),
    Column("taxon_score", Float),
    Column("detection", JSON, nullable=False),
)

# What was there as one event; see edge/alerts/encounters.py. uid: for keys of messages, unlike pk never used again.
# code: what an answer names it by. lineage: JSON list, kingdom first. best_…: the picture that shows it best so far.
encounters = Table(
    "encounters",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("uid", String(16), nullable=False, unique=True),
    Column("code", String(8), nullable=False, index=True),
    Column("station", String(64), nullable=False),
    Column("category", String(16), nullable=False),
    Column("lineage", JSON, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("frames", Integer, nullable=False, default=0),
    Column("best_frame_pk", ForeignKey("frames.pk"), nullable=False, index=True),
    Column("best_number", Integer, nullable=False),
    Column("best_quality", Float, nullable=False),
    Column("acked_at", Utc),
    Column("acked_by", String(64), nullable=False, default=""),
    Index(None, "station", "last_at"),
    Index(None, "station", "started_at"),
)

# Which frame made which rule hold, and what came of it. number, quality: of the picture that shows it best.
# outcome: opened, better, joined or late (docs/alerts.md).
matches = Table(
    "matches",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("frame_pk", ForeignKey("frames.pk"), nullable=False, index=True),
    Column("encounter_pk", ForeignKey("encounters.pk"), nullable=False, index=True),
    Column("rule", String, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("quality", Float, nullable=False),
    Column("because", JSON, nullable=False),
)

# The outbox: one row a message and addressee. state: pending → sending → sent, or failed with `error`; or dropped; or
# digest, until it stands in one (digested, digest_pk). reason: the code of why it was not sent, or waits.
# person: "" for a channel's own addressees. step: of an escalation, 0 for the first who are told. late: it came too
# long after it was taken to be told as if it were live. words: of messages that are about no animal.
notices = Table(
    "notices",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("addressee", String, nullable=False),
    Column("who", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("station", String(64), nullable=False, default=""),
    Column("rule", String, nullable=False, default=""),
    Column("step", Integer, nullable=False, default=0),
    Column("late", Boolean, nullable=False, default=False),
    Column("shows_people", Boolean, nullable=False, default=False),
    Column("encounter_pk", ForeignKey("encounters.pk"), index=True),
    Column("frame_pk", ForeignKey("frames.pk"), index=True),
    Column("number", Integer, nullable=False, default=0),
    Column("count", Integer, nullable=False, default=1),
    Column("detection", JSON),
    Column("words", JSON),
    Column("state", String(16), nullable=False, default="pending"),
    Column("reason", String(32), nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("created_at", Utc, nullable=False),
    Column("next_attempt_at", Utc, nullable=False),
    Column("sent_at", Utc),
    Column("error", String, nullable=False, default=""),
    Column("receipt", String, nullable=False, default=""),
    Column("receipt_state", String(16), nullable=False, default=""),
    Column("digest_pk", ForeignKey("notices.pk"), index=True),
    Index(None, "state", "next_attempt_at"),
    Index(None, "who", "sent_at"),
    Index(None, "receipt_state", sqlite_where=text("receipt_state = 'waiting'")),
)

# Who wants to hear nothing, and until when (None: until START). station: "" for all of them.
mutes = Table(
    "mutes",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("who", String, nullable=False, index=True),
    Column("station", String(64), nullable=False, default=""),
    Column("at", Utc, nullable=False),
    Column("until", Utc),
)

# What people answered; (channel, id) is read once.
replies = Table(
    "replies",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("channel", String, nullable=False),
    Column("id", String, nullable=False),
    Column("sender", String, nullable=False),
    Column("who", String, nullable=False, default=""),
    Column("text", String, nullable=False),
    Column("answer", String, nullable=False, default=""),
    Column("at", Utc, nullable=False),
    UniqueConstraint("channel", "id"),
    Index(None, "sender", "at"),
)

# What the heartbeat watches: "silent/cam-03", "disk", …: since when it is so, and when somebody was told.
watched = Table(
    "watched",
    metadata,
    Column("name", String, primary_key=True),
    Column("since", Utc, nullable=False),
    Column("told_at", Utc),
)

# What never became a frame, or was taken out of the pipeline. path: where its bytes are kept, "" when nowhere.
quarantine = Table(
    "quarantine",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("at", Utc, nullable=False),
    Column("source", String(64), nullable=False),
    Column("name", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("path", String, nullable=False, default=""),
    Column("frame_pk", ForeignKey("frames.pk"), index=True),
)

# Sums that triggers on `frames` keep, so that nobody has to add up rows: waiting_bytes is the spool_bytes of all frames
# that are spooled or claimed.
counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Integer, nullable=False, default=0),
)

# What a station's agent said last. online: None until it said so. drift_s: the server's clock less the agent's.
station_state = Table(
    "station_state",
    metadata,
    Column("station", String(64), primary_key=True),
    Column("online", Boolean),
    Column("online_since", Utc),
    Column("heard_at", Utc, nullable=False),
    Column("boot", String(64), nullable=False, default=""),
    Column("version", String(64), nullable=False, default=""),
    Column("clock_ok", Boolean),
    Column("drift_s", Float),
    Column("drifts", Boolean, nullable=False, default=False),
    Column("health", JSON),
    Column("health_at", Utc),
)

# The past of `health`; bounded in time and in rows a minute (edge/store/agents.py). at: the agent's clock.
station_health = Table(
    "station_health",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("station", String(64), nullable=False),
    Column("at", Utc, nullable=False),
    Column("received_at", Utc, nullable=False),
    Column("drift_s", Float),
    Column("drifts", Boolean, nullable=False, default=False),
    Column("health", JSON, nullable=False),
    Index(None, "station", "received_at"),
)

# What agents are asked to do. state: queued → sent → done or failed; or expired. text: the agent's answer.
commands = Table(
    "commands",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("station", String(64), nullable=False),
    Column("name", String(16), nullable=False),
    Column("args", JSON, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("state", String(16), nullable=False, default="queued"),
    Column("sent_at", Utc),
    Column("ended_at", Utc),
    Column("text", String, nullable=False, default=""),
    Index(None, "state", "pk"),
    Index(None, "station", "state"),
)
