"""What the database does by itself: sums that nobody has to add up, and which days' summaries are out of date.

A trigger can't be forgotten by a new way in (a command, an import, the page). Name → what follows CREATE TRIGGER name.
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
            INSERT OR IGNORE INTO stale_days (station, day)
                VALUES (NEW.station, substr(coalesce(NEW.captured_utc, NEW.received_at), 1, 10));
        END""",
    "frames_stale_changed": """
        AFTER UPDATE OF state, captured_utc, people, full_pk, infrared ON frames
        WHEN NEW.state = 'recorded' OR OLD.state = 'recorded'
        BEGIN
            INSERT OR IGNORE INTO stale_days (station, day)
                VALUES (OLD.station, substr(coalesce(OLD.captured_utc, OLD.received_at), 1, 10));
            INSERT OR IGNORE INTO stale_days (station, day)
                VALUES (NEW.station, substr(coalesce(NEW.captured_utc, NEW.received_at), 1, 10));
        END""",
    "observations_stale_changed": """
        AFTER UPDATE OF suspect_pk, taxon, category ON observations
        BEGIN
            INSERT OR IGNORE INTO stale_days (station, day)
                SELECT station, substr(coalesce(frames.captured_utc, frames.received_at), 1, 10)
                FROM frames WHERE pk = NEW.frame_pk;
        END""",
    "suspects_stale_changed": """
        AFTER UPDATE OF state ON suspects WHEN NEW.state != OLD.state
        BEGIN
            INSERT OR IGNORE INTO stale_days (station, day)
                SELECT frames.station, substr(coalesce(frames.captured_utc, frames.received_at), 1, 10)
                FROM observations JOIN frames ON frames.pk = observations.frame_pk
                WHERE observations.suspect_pk = NEW.pk;
        END""",
    "reviews_stale_added": """
        AFTER INSERT ON reviews
        BEGIN
            INSERT OR IGNORE INTO stale_days (station, day)
                SELECT station, substr(coalesce(frames.captured_utc, frames.received_at), 1, 10)
                FROM frames WHERE pk = NEW.frame_pk;
        END""",
    "reviews_stale_changed": """
        AFTER UPDATE ON reviews
        BEGIN
            INSERT OR IGNORE INTO stale_days (station, day)
                SELECT station, substr(coalesce(frames.captured_utc, frames.received_at), 1, 10)
                FROM frames WHERE pk = NEW.frame_pk;
        END""",
}

SQLITE_TRIGGERS = {**WAITING, **STALE}
