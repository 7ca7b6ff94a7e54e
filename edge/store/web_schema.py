"""The tables of the web page: people who log in, and the summaries that pages read instead of counting.

Summaries are derived: `edge/summaries` makes them again from frames, observations and reviews for every day that stands
in `stale_days`, which triggers fill (triggers.py). Dropping them loses nothing but the time to make them.
"""

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, text

from .dialects import widen
from .schema import Utc, metadata

# What a page lists of frames: pictures of one trigger and triggers that follow at once (edge/fieldwork/sequences.py).
# pk: that of its first frame. bucket: UTC day of its start, "2026-11-22", as in `stale_days`. started_at: when its
# first frame was taken, or received where that is unknown (timed: False). kind, taxon, score: the machine's surest
# answer; kind is animal, human, vehicle or blank. shown_kind, shown_taxon, count: what counts now, people's answers
# before the machine's. best_frame_pk, best_number: the picture that shows it best. unreviewed: frames nobody has
# answered. disagrees: a person said something else than the machine. shows: what sums are made of
# (edge/summaries/rows.py); no page needs it.
sequences = Table(
    "sequences",
    metadata,
    Column("pk", ForeignKey("frames.pk"), primary_key=True, autoincrement=False),
    Column("station", String(64), nullable=False),
    Column("bucket", String(10), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc, nullable=False),
    Column("timed", Boolean, nullable=False, default=True),
    Column("frames", Integer, nullable=False),
    Column("clips", Integer, nullable=False, default=0),
    Column("best_frame_pk", ForeignKey("frames.pk"), nullable=False),
    Column("best_number", Integer, nullable=False, default=0),
    Column("kind", String(16), nullable=False),
    Column("taxon", String, nullable=False, default=""),
    Column("score", Float, nullable=False, default=0.0),
    Column("shown_kind", String(16), nullable=False),
    Column("shown_taxon", String, nullable=False, default=""),
    Column("count", Integer, nullable=False, default=0),
    Column("night", Boolean, nullable=False, default=False),
    Column("unreviewed", Integer, nullable=False),
    Column("disagrees", Boolean, nullable=False, default=False),
    Column("people", Boolean, nullable=False, default=False),
    Column("favourite", Boolean, nullable=False, default=False),
    Column("shows", JSON, nullable=False),
    Index(None, "started_at", "pk"),
    Index(None, "station", "started_at", "pk"),
    Index(None, "shown_taxon", "started_at", "pk"),
    Index(None, "shown_kind", "started_at", "pk"),
    Index(None, "station", "bucket"),
    Index(
        "ix_sequences_to_review",
        "started_at",
        "pk",
        sqlite_where=text("unreviewed > 0"),
        postgresql_where=text("unreviewed > 0"),
    ),
    Index(
        "ix_sequences_station_to_review",
        "station",
        "started_at",
        "pk",
        sqlite_where=text("unreviewed > 0"),
        postgresql_where=text("unreviewed > 0"),
    ),
    Index(
        "ix_sequences_disputed",
        "started_at",
        "pk",
        sqlite_where=text("disagrees"),
        postgresql_where=text("disagrees"),
    ),
    Index(
        "ix_sequences_favourite",
        "started_at",
        "pk",
        sqlite_where=text("favourite"),
        postgresql_where=text("favourite"),
    ),
)

# Which frames a sequence has. position: from 0, in the order of its pictures.
sequence_frames = Table(
    "sequence_frames",
    metadata,
    Column("frame_pk", ForeignKey("frames.pk"), primary_key=True, autoincrement=False),
    Column("sequence_pk", ForeignKey("sequences.pk"), nullable=False),
    Column("position", Integer, nullable=False),
    Index(None, "sequence_pk", "position"),
)

# What each station took on each of its own days ("2026-11-22", the station's zone). blanks … vehicles: frames, by what
# counts now. received: of all these the last to come.
days = Table(
    "days",
    metadata,
    Column("station", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("frames", Integer, nullable=False),
    Column("blanks", Integer, nullable=False),
    Column("animals", Integer, nullable=False),
    Column("humans", Integer, nullable=False),
    Column("vehicles", Integer, nullable=False),
    Column("sequences", Integer, nullable=False),
    Column("unreviewed", Integer, nullable=False),
    Column("first_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("received", Utc, nullable=False),
    Index(None, "day"),
)

# Sums over `period`: "" for all time, a month "2026-11" or a day "2026-11-22" of the station's zone; and over
# `station`: "" for all. taxon: "" for animals without a name, and for what is none. events: independent captures
# (edge/fieldwork/independence.py). individuals: of the events, the most seen at once each, added up. hours: JSON,
# events by local hour, 24 numbers.
tallies = Table(
    "tallies",
    metadata,
    Column("station", String(64), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("taxon", String, primary_key=True),
    Column("events", Integer, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("individuals", Integer, nullable=False),
    Column("hours", JSON, nullable=False),
    Column("first_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Index(None, "taxon", "station", "period"),
    Index(None, "period", "kind", "taxon", "station"),
)

# What has changed since its summaries were made. day: UTC, of when the frame was taken or else received. marks: how
# often, so that a change is known that comes while its summaries are made.
stale_days = Table(
    "stale_days",
    metadata,
    Column("station", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("marks", Integer, nullable=False, server_default="1"),
)

# What the summaries were made with ("zones", "version"): where that has changed, all days are stale.
summary_state = Table(
    "summary_state",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", String, nullable=False),
)

# Frames that somebody marked; Camtrap DP knows them as `favorite`.
favourites = Table(
    "favourites",
    metadata,
    Column("frame_pk", ForeignKey("frames.pk"), primary_key=True, autoincrement=False),
    Column("by", String, nullable=False),
    Column("at", Utc, nullable=False),
)

# Who logs in. key: the name casefolded. password: an Argon2id hash, "" while none is set (invited, or by OIDC only).
# role: viewer, reviewer, manager, admin. stations: JSON list of those they see, None for all. language: "" for the
# browser's.
users = Table(
    "users",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("key", String(64), nullable=False, unique=True),
    Column("email", String(254), nullable=False, default=""),
    Column("password", String(256), nullable=False, default=""),
    Column("role", String(16), nullable=False),
    Column("stations", JSON),
    Column("language", String(2), nullable=False, default=""),
    Column("active", Boolean, nullable=False, default=True),
    Column("created_at", Utc, nullable=False),
    Column("password_at", Utc),
    Column("seen_at", Utc),
)

# Who is logged in. token: SHA-256 of what the cookie has, in hex.
sessions = Table(
    "sessions",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("token", String(64), nullable=False, unique=True),
    Column("user_pk", ForeignKey("users.pk"), nullable=False, index=True),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False, index=True),
    Column("address", String(64), nullable=False, default=""),
    Column("agent", String(200), nullable=False, default=""),
)

# Keys for programs. token: SHA-256 in hex. scopes: JSON list of rights, never more than the user's role gives.
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("token", String(64), nullable=False, unique=True),
    Column("user_pk", ForeignKey("users.pk"), nullable=False, index=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("used_at", Utc),
    Column("revoked_at", Utc),
)

# Links that make a user or set a password. kind: invite or reset. token: SHA-256 in hex. user_pk: whose password.
invitations = Table(
    "invitations",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("token", String(64), nullable=False, unique=True),
    Column("kind", String(8), nullable=False),
    Column("user_pk", ForeignKey("users.pk"), index=True),
    Column("email", String(254), nullable=False, default=""),
    Column("role", String(16), nullable=False, default=""),
    Column("stations", JSON),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
)

# Failed log-ins: "user/ana", "address/192.0.2.7" → how many in a row, and until when the next is refused unseen.
throttle = Table(
    "throttle",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", Utc, nullable=False, index=True),
    Column("until", Utc),
)

widen(metadata)
