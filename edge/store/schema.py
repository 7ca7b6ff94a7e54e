"""The tables. Times are UTC; boxes are shares of the picture, 0..1, left, top, width, height."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
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
    UniqueConstraint("station", "id"),
    Index(None, "state", "pk"),
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

# The outbox. state: pending → sent, or failed with `error`.
alerts = Table(
    "alerts",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("rule", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("frame_pk", ForeignKey("frames.pk"), nullable=False, index=True),
    Column("picture_number", Integer, nullable=False),
    Column("detection", JSON, nullable=False),
    Column("state", String(16), nullable=False, default="pending"),
    Column("attempts", Integer, nullable=False, default=0),
    Column("created_at", Utc, nullable=False),
    Column("next_attempt_at", Utc, nullable=False),
    Column("sent_at", Utc),
    Column("error", String, nullable=False, default=""),
    Index(None, "state", "next_attempt_at"),
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
