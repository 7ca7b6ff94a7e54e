"""What the database does by itself: sums that nobody has to add up, and which days' summaries are out of date.

A trigger can't be forgotten by a new way in (a command, an import, the page). SQLite: name → what follows CREATE
TRIGGER name. PostgreSQL: name → (when it fires, what its function does); the function has the same name.
"""

WAITING = {
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

STALE = {
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

SQLITE_TRIGGERS = {**WAITING, **STALE}

_OF_NEW = """
    INSERT INTO stale_days (station, day)
        VALUES (NEW.station, to_char(coalesce(NEW.captured_utc, NEW.received_at), 'YYYY-MM-DD'))
        ON CONFLICT (station, day) DO UPDATE SET marks = stale_days.marks + 1;"""
_OF_ITS_FRAME = """
    INSERT INTO stale_days (station, day)
        SELECT station, to_char(coalesce(captured_utc, received_at), 'YYYY-MM-DD') FROM frames WHERE pk = NEW.frame_pk
        ON CONFLICT (station, day) DO UPDATE SET marks = stale_days.marks + 1;"""
_OF_ITS_BOXES = """
    INSERT INTO stale_days (station, day)
        SELECT DISTINCT frames.station, to_char(coalesce(frames.captured_utc, frames.received_at), 'YYYY-MM-DD')
        FROM observations JOIN frames ON frames.pk = observations.frame_pk WHERE observations.suspect_pk = NEW.pk
        ON CONFLICT (station, day) DO UPDATE SET marks = stale_days.marks + 1;"""

POSTGRESQL_TRIGGERS = {
    "frames_waiting_added": (
        "AFTER INSERT ON frames FOR EACH ROW WHEN (NEW.state IN ('spooled', 'claimed') AND NEW.spool_bytes <> 0)",
        "UPDATE counters SET value = value + NEW.spool_bytes WHERE name = 'waiting_bytes';",
    ),
    "frames_waiting_changed": (
        """AFTER UPDATE OF state, spool_bytes ON frames FOR EACH ROW
        WHEN (NEW.state <> OLD.state OR NEW.spool_bytes <> OLD.spool_bytes)""",
        """
    UPDATE counters SET value = value + NEW.spool_bytes * CAST(NEW.state IN ('spooled', 'claimed') AS integer)
        - OLD.spool_bytes * CAST(OLD.state IN ('spooled', 'claimed') AS integer) WHERE name = 'waiting_bytes';""",
    ),
    "frames_waiting_removed": (
        "AFTER DELETE ON frames FOR EACH ROW WHEN (OLD.state IN ('spooled', 'claimed') AND OLD.spool_bytes <> 0)",
        "UPDATE counters SET value = value - OLD.spool_bytes WHERE name = 'waiting_bytes';",
    ),
    "frames_stale_added": ("AFTER INSERT ON frames FOR EACH ROW WHEN (NEW.state = 'recorded')", _OF_NEW),
    "frames_stale_changed": (
        """AFTER UPDATE OF state, captured_utc, people, full_pk, infrared ON frames FOR EACH ROW
        WHEN (NEW.state = 'recorded' OR OLD.state = 'recorded')""",
        _OF_NEW.replace("NEW.", "OLD.") + _OF_NEW,
    ),
    "observations_stale_changed": (
        "AFTER UPDATE OF suspect_pk, taxon, category ON observations FOR EACH ROW",
        _OF_ITS_FRAME,
    ),
    "suspects_stale_changed": (
        "AFTER UPDATE OF state ON suspects FOR EACH ROW WHEN (NEW.state <> OLD.state)",
        _OF_ITS_BOXES,
    ),
    "reviews_stale_added": ("AFTER INSERT ON reviews FOR EACH ROW", _OF_ITS_FRAME),
    "reviews_stale_changed": ("AFTER UPDATE ON reviews FOR EACH ROW", _OF_ITS_FRAME),
}


def trigger_statements(dialect: str) -> list[str]:
    """The statements that make all triggers in a new database. dialect: sqlite or postgresql."""
    if dialect == "sqlite":
        return [f"CREATE TRIGGER {name} {body}" for name, body in SQLITE_TRIGGERS.items()]
    found = []
    for name, (fires, body) in POSTGRESQL_TRIGGERS.items():
        does = f"BEGIN {body} RETURN NULL; END"
        found.append(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${does}$$")
        found.append(f"CREATE TRIGGER {name} {fires} EXECUTE FUNCTION {name}()")
    return found
