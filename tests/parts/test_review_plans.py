"""No list of the review reads all of a large table: each filter has its index, by SQLite's own plan."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, text
from sqlalchemy.dialects import sqlite

from server.review.filters import Filters
from server.review.queries import statement, streams
from tests.alert_rig import PUMA, animal
from tests.review_rig import review_rig

ZONE = ZoneInfo("America/Bogota")
STATION = "ix_sequences_station_started_at_pk"
TAXON = "ix_sequences_shown_taxon_started_at_pk"
KIND = "ix_sequences_shown_kind_started_at_pk"


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with review_rig(tmp_path_factory.mktemp("plans")) as rig:
        yield rig


def plans(rig, filters, *, stations=None, taxa=(), after=None):
    for driver in streams(filters, stations, taxa):
        query = statement(driver, filters, ZONE, after=after, limit=60)
        compiled = query.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
        with rig.readers.read() as connection:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", _positional(compiled))
            yield [row[3] for row in rows]


def _positional(compiled):
    processors = compiled._bind_processors  # because EXPLAIN needs the parameters as SQLite gets them
    values = compiled.construct_params()
    return tuple(processors.get(name, lambda each: each)(values[name]) for name in compiled.positiontup)


@pytest.mark.parametrize("more", [{}, {"oldest": True}, {"since": date(2026, 1, 1), "until": date(2026, 2, 1)}])
@pytest.mark.parametrize("after", [None, (datetime(2026, 1, 5, tzinfo=UTC), 7)])
@pytest.mark.parametrize(
    ("asked", "stations", "taxa", "index"),
    [
        ({}, None, (), "ix_sequences_started_at_pk"),
        ({}, ("cam-01",), (), STATION),
        ({}, ("cam-01", "cam-02"), (), STATION),
        ({"unreviewed": True}, None, (), "ix_sequences_to_review"),
        ({"unreviewed": True}, ("cam-01",), (), "ix_sequences_station_to_review"),
        ({"unreviewed": True, "kind": "human"}, None, (), KIND),
        ({"unreviewed": True, "kind": "animal"}, None, (), "ix_sequences_to_review"),
        ({"disagrees": True}, None, (), "ix_sequences_disputed"),
        ({"favourite": True}, ("cam-01",), (), "ix_sequences_favourite"),
        ({"taxon": "Puma"}, None, ("Puma", "Puma concolor"), TAXON),
        ({"taxon": "Puma", "unreviewed": True}, ("cam-01",), ("Puma",), TAXON),
        ({"taxon": "-"}, None, (), KIND),
        ({"kind": "blank"}, None, (), KIND),
        ({"low": 0.5, "light": "night", "people": True}, None, (), "ix_sequences_started_at_pk"),
    ],
)
def test_each_filter_goes_along_an_index_without_sorting(rig, asked, stations, taxa, index, more, after):
    found = list(plans(rig, Filters(**asked, **more), stations=stations, taxa=taxa, after=after))

    assert found
    for plan in found:
        assert len(plan) == 1, plan
        assert f"USING INDEX {index}" in plan[0], plan


BIG = ("frames", "observations", "sequences", "sequence_frames", "reviews", "favourites")


def statements_of(rig, ask):
    """Every SELECT that a request makes, with its parameters."""
    found = []

    def note(_connection, _cursor, statement, parameters, _context, many):
        if statement.lstrip().startswith("SELECT") and not many:
            found.append((statement, parameters))

    engines = (rig.store._engine, rig.readers._engine)  # because SQL is what is looked at
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    assert ask().status_code < 400
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)
    return found


def test_no_request_reads_all_of_a_large_table(rig):
    pks = [rig.fresh((animal(PUMA),), (animal(PUMA),), ()) for _ in range(4)]
    client = rig.client("manager", name="ana")
    said = {"action": "said-by-plan", "sequences": pks, "kind": "blank", "seen": 0}
    asked = [
        lambda: client.get("/review?species=Felidae&station=cam-01&unreviewed=1&light=day"),
        lambda: client.get(f"/review/{pks[1]}?kind=animal"),
        lambda: client.get("/api/v1/frames"),
        lambda: client.post("/api/v1/reviews", json=said),
        lambda: client.post("/api/v1/reviews", json=said),
        lambda: client.post("/api/v1/reviews", json=said | {"action": "said-by-plan-2", "kind": "confirm"}),
        lambda: client.delete("/api/v1/reviews/said-by-plan"),
        lambda: client.post("/review/favourite", data={"sequence": pks}),
        lambda: client.post("/review/favourite", data={"sequence": pks, "favourite": "0"}),
    ]

    for ask in asked:
        for sql, parameters in statements_of(rig, ask):
            with rig.readers.read() as connection:
                plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]
            for step in plan:
                assert "INDEX" in step or not any(step.startswith(f"SCAN {name}") for name in BIG), (sql, plan)
                assert "ix_frames_state_late_pk" not in step, (sql, plan)


def test_what_an_action_was_is_found_by_its_index(rig):
    query = "SELECT frame_pk FROM reviews WHERE action = 'x' AND reviews.action != ''"
    with rig.readers.read() as connection:
        [plan] = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
    assert "ix_reviews_action" in plan
