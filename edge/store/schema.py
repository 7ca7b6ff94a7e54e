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

from .dialects import widen

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
# said_utc: what the camera's clock meant; captured_utc: the same after `clock_corrections`. camera, burst,
# burst_number: what the file says of its maker and its burst. brightness: mean luma, 0..1; infrared: it looks like it.
# people: a person or vehicle was found; original: kept, released (kept for good), withheld or deleted. details: what
# an imported record says beside the columns.
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
    Column("said_utc", Utc),
    Column("camera", String(128), nullable=False, default=""),
    Column("burst", String(64), nullable=False, default=""),
    Column("burst_number", Integer),
    Column("brightness", Float),
    Column("infrared", Boolean),
    Column("people", Boolean, nullable=False, default=False),
    Column("original", String(16), nullable=False, default="kept"),
    Column("details", JSON),
    UniqueConstraint("station", "id"),
    Index(None, "full_pk", sqlite_where=text("full_pk IS NOT NULL"), postgresql_where=text("full_pk IS NOT NULL")),
    Index(None, "id"),
    Index(None, "station", "boot_count", "seq"),
    Index(None, "station", "stands_for"),  # of all rows: SQLite takes no partial index for several stations at once
    Index(None, "state", "late", "pk"),
    Index(None, "station", "sha256"),
    Index(None, "station", "captured_utc"),
    Index(
        "ix_frames_untimed",
        "station",
        "received_at",
        sqlite_where=text("captured_utc IS NULL"),
        postgresql_where=text("captured_utc IS NULL"),
    ),
    Index(
        None,
        "original",
        "captured_utc",
        sqlite_where=text("original = 'withheld'"),
        postgresql_where=text("original = 'withheld'"),
    ),
    Index(
        None,
        "people",
        "recorded_at",
        sqlite_where=text("people = 1 AND original = 'kept'"),
        postgresql_where=text("people AND original = 'kept'"),
    ),
)

# track: of a clip, which of its animals. remark: why the answer is what it is (edge.model.Answer.remark).
# suspect_pk: the repeated detection that it is part of.
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
    Column("track", Integer),
    Column("remark", String, nullable=False, default=""),
    Column("suspect_pk", ForeignKey("suspects.pk")),
    Column("details", JSON),
    Index(
        None,
        "suspect_pk",
        sqlite_where=text("suspect_pk IS NOT NULL"),
        postgresql_where=text("suspect_pk IS NOT NULL"),
    ),
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
    Index(None, "last_at", "pk"),
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
    Index(
        None,
        "receipt_state",
        sqlite_where=text("receipt_state = 'waiting'"),
        postgresql_where=text("receipt_state = 'waiting'"),
    ),
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

# When a camera stood where. ended_at: None while it stands there. timezone: "" for the station's. origin: typed, csv,
# gpx, camtrap-dp. details: what an imported record says beside the columns.
deployments = Table(
    "deployments",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("station", String(64), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("uncertainty_m", Float),
    Column("timezone", String(64), nullable=False, default=""),
    Column("camera_id", String(128), nullable=False, default=""),
    Column("camera_model", String(128), nullable=False, default=""),
    Column("height_m", Float),
    Column("tilt_deg", Float),
    Column("heading_deg", Float),
    Column("bait", String, nullable=False, default=""),
    Column("feature", String, nullable=False, default=""),
    Column("habitat", String, nullable=False, default=""),
    Column("setup_by", String, nullable=False, default=""),
    Column("tags", JSON),
    Column("comments", String, nullable=False, default=""),
    Column("origin", String(16), nullable=False, default="typed"),
    Column("details", JSON),
    Column("created_at", Utc, nullable=False),
    Index(None, "station", "started_at"),
)

# What is wrong with a camera's clock: its time is said_utc + offset_s + drift_s_per_day × days since `anchor`, for
# frames whose said_utc lies in since … until (None: without end, both included). timezone: instead of an offset, the
# zone in which `captured_original` is to be read anew, "" for none. Undone ones stay, with who and when. applied_at:
# when the last frame had its new time, None while that is under way (edge/store/clocks.py).
clock_corrections = Table(
    "clock_corrections",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("station", String(64), nullable=False, index=True),
    Column("since", Utc),
    Column("until", Utc),
    Column("offset_s", Float, nullable=False, default=0.0),
    Column("anchor", Utc),
    Column("drift_s_per_day", Float, nullable=False, default=0.0),
    Column("timezone", String(64), nullable=False, default=""),
    Column("why", String, nullable=False, default=""),
    Column("made_by", String, nullable=False, default=""),
    Column("made_at", Utc, nullable=False),
    Column("undone_by", String, nullable=False, default=""),
    Column("undone_at", Utc),
    Column("applied_at", Utc),
)

# The same thing at the same place again and again: a stone, a branch. state: suspect → suppressed or kept; with who
# and when. deployment: whose scene it belongs to, "" for the station's whole time.
suspects = Table(
    "suspects",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("station", String(64), nullable=False),
    Column("deployment", String(128), nullable=False, default=""),
    Column("category", String(16), nullable=False),
    Column("x", Float, nullable=False),
    Column("y", Float, nullable=False),
    Column("w", Float, nullable=False),
    Column("h", Float, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("days", Integer, nullable=False),
    Column("first_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("example_pk", ForeignKey("frames.pk"), index=True),
    Column("state", String(16), nullable=False, default="suspect"),
    Column("found_at", Utc, nullable=False),
    Column("decided_by", String, nullable=False, default=""),
    Column("decided_at", Utc),
    Index(None, "station", "state"),
)

# What a person said a frame shows, beside what the machine said: the newest that is not undone counts. observation_pk:
# one of the machine's boxes, None for the whole frame. kind: animal, human, vehicle, blank, unknown. action: what was
# said and is undone together, as the asking program named it (edge/store/reviews.py); "" for imported ones.
reviews = Table(
    "reviews",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("frame_pk", ForeignKey("frames.pk"), nullable=False, index=True),
    Column("observation_pk", ForeignKey("observations.pk"), index=True),
    Column("kind", String(16), nullable=False),
    Column("taxon", String, nullable=False, default=""),
    Column("count", Integer, nullable=False, default=1),
    Column("sex", String(16), nullable=False, default=""),
    Column("life_stage", String(16), nullable=False, default=""),
    Column("behaviour", String, nullable=False, default=""),
    Column("comments", String, nullable=False, default=""),
    Column("by", String, nullable=False),
    Column("at", Utc, nullable=False),
    Column("undone_by", String, nullable=False, default=""),
    Column("undone_at", Utc),
    Column("details", JSON),
    Column("action", String(64), nullable=False, default=""),
    Index(None, "action", sqlite_where=text("action != ''"), postgresql_where=text("action != ''")),
)

# Events as an imported data set states them, in its order. row: the columns of an event-level observation of Camtrap
# DP, empty ones left out. number: its observationID. encounter_pk: what stands in `encounters` for it.
imported_events = Table(
    "imported_events",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("number", String, nullable=False, unique=True),
    Column("station", String(64), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc, nullable=False),
    Column("encounter_pk", ForeignKey("encounters.pk"), index=True),
    Column("row", JSON, nullable=False),
    Index(None, "station", "started_at"),
)

# Who did what with what must be answered for: originals with people, corrections, suppressions. Rows are only added.
audit = Table(
    "audit",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("at", Utc, nullable=False),
    Column("who", String, nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", String, nullable=False),
    Column("details", JSON),
    Index(None, "action", "at"),
    Index(None, "subject"),
    Index(None, "who", "pk"),
)

widen(metadata)
