"""PostgreSQL's own plans, where its statistics lead it astray: what runs often reads what waits, not all frames."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from edge.store import people
from edge.store.sql import Store
from edge.testing import spooled_frame

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OWN = ("pk", "id", "people", "original", "state", "recorded_at", "path")


@pytest.fixture
def store(postgres):
    """3,000 frames; a twentieth show people, and all of these are withheld."""
    with Store(postgres.emptied()) as opened:
        opened.add_frames([(spooled_frame(), 0)])
        with opened.transaction() as connection:
            names = connection.scalars(
                text("SELECT column_name FROM information_schema.columns WHERE table_name = 'frames'")
            )
            others = ", ".join(f'"{name}"' for name in names if name not in OWN)
            connection.execute(
                text(
                    f"INSERT INTO frames (id, people, original, state, recorded_at, path, {others}) "
                    "SELECT 'x' || n, n % 20 = 0, CASE WHEN n % 20 = 0 THEN 'withheld' ELSE 'kept' END, 'recorded', "
                    f"TIMESTAMP '2026-10-01' + n * INTERVAL '20 min', '/x', {others} "
                    "FROM frames, generate_series(1, 3000) n"
                )
            )
            connection.execute(text("ANALYZE frames"))
        yield opened


def plan_of(store, ask):
    """How the one statement that `ask` makes is carried out."""
    heard = []

    def hear(_connection, _cursor, statement, parameters, _context, _many):
        heard.append((statement, parameters))

    event.listen(store._engine, "before_cursor_execute", hear)
    ask()
    event.remove(store._engine, "before_cursor_execute", hear)
    [(statement, parameters)] = heard
    with store.reading() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        return "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())


@pytest.mark.parametrize(
    ("look", "index"),
    [(people.to_withhold, "ix_frames_people_recorded_at"), (people.to_delete, "ix_frames_original_captured_utc")],
)
def test_a_sweep_of_originals_looks_at_those_that_wait(store, look, index):
    plan = plan_of(store, lambda: look(store, recorded_before=NOW - timedelta(days=1), after=0, limit=20))

    assert index in plan
    assert "pk_frames" not in plan


def test_a_stations_newest_frame_is_found_without_sorting_its_frames(postgres):
    """Sorting them for each of 200 stations took a page 1 s."""
    with Store(postgres.emptied()) as store, store.reading() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        newest = (
            "SELECT received_at FROM frames WHERE station = 'a' ORDER BY boot_count DESC, seq DESC, pk DESC LIMIT 1"
        )
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {newest}")))

    assert "ix_frames_station_boot_count_seq" in plan
    assert "Sort" not in plan
