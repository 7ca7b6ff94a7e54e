"""No query of the page reads a large table from end to end: every statement of a walk over all of it is explained.

The tables are small here, so the planner is told that they are large (sqlite_stat1, a thousand times what ANALYZE
found), as it would find in a site of years.
"""

import re
import sqlite3
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, insert, select

from edge.store.schema import encounters, frames, matches, notices, observations, station_health
from edge.summaries.work import Summariser
from tests.alert_rig import JAGUAR, PUMA, animal, person
from tests.page_walk import Walk
from tests.web_rig import NOW, WebRig

LARGE = frozenset(
    {"frames", "observations", "reviews", "sequences", "sequence_frames", "encounters", "notices", "matches"}
    | {"station_health", "audit", "tallies"}
)
DAY, MONTH = f"{NOW:%Y-%m-%d}", f"{NOW:%Y-%m}"
# Values of parameters, by their names; others get "1".
SAMPLES = {
    "uid": ("u1",),
    "name": ("cam-01", "u1"),
    "station": ("cam-01",),
    "taxon": ("Puma concolor",),
    "species": ("Puma concolor", "Felidae", "-"),
    "kind": ("animal", "human", "person", "blank"),
    "size": ("thumb",),
    "number": ("0",),
    "from": (DAY, MONTH),
    "to": (DAY, MONTH),
    "since": (DAY,),
    "until": (DAY,),
    "period": ("all",),
    "light": ("night",),
    "order": ("oldest",),
    "state": ("failed", "sent"),
    "before": ("",),
    "after": ("",),
    "limit": ("5",),
    "score_from": ("0.5",),
    "rule": ("cats",),
    "severity": ("warning",),
    "who": ("ana",),
}
TIMES = 1_000  # as if there were so many times more
# What may read a whole index, and why.
ALLOWED = (
    "min(frames.station)",  # one step of the index
)


def fill(rig):
    """Some of everything."""
    for number in range(60):
        boxes = [[animal(PUMA)], [animal(JAGUAR), animal()], [], [person()]][number % 4]
        station = f"cam-0{number % 3 + 1}"
        rig.record(station, f"f{number}", boxes, at=NOW - timedelta(hours=5 * number))
    with rig.store.transaction() as connection:
        for number, (pk, station, at) in enumerate(
            connection.execute(select(frames.c.pk, frames.c.station, frames.c.captured_utc).limit(30)).all()
        ):
            met = {"uid": f"u{number}", "code": f"C{number}", "station": station, "category": "animal"}
            met |= {"lineage": list(PUMA.lineage), "started_at": at, "last_at": at, "opened_at": at, "frames": 1}
            met |= {"best_frame_pk": pk, "best_number": 0, "best_quality": 0.5}
            encounter = connection.execute(insert(encounters).values(met)).inserted_primary_key[0]
            held = {"frame_pk": pk, "encounter_pk": encounter, "rule": "cats", "outcome": "opened", "number": 0}
            connection.execute(insert(matches).values(held | {"quality": 0.5, "because": []}))
            told = {"key": f"k{number}", "kind": "alert", "addressee": "a", "who": "ana", "channel": "log"}
            told |= {"severity": "warning", "station": station, "rule": "cats", "encounter_pk": encounter}
            told |= {"frame_pk": pk, "state": "sent" if number % 3 else "failed", "created_at": at, "sent_at": at}
            connection.execute(insert(notices).values(told | {"next_attempt_at": at}))
            said = {"station": station, "at": at, "received_at": at, "health": {"battery_v": 12.0}}
            connection.execute(insert(station_health).values(said))
    settle(rig)


def settle(rig):
    web = rig.web
    summariser = Summariser(web.store, web.readers, web.plan.stations, web.plan.file.site.timezone, rig.clock, web.log)
    summariser.check_settings()
    while summariser.refresh():
        rig.clock.step(1)


def pretend_large(rig):
    """Let the planner think of a site of years; connections that are open would not hear of it."""
    path = rig.plan.state_dir / "tigrillo.sqlite"
    with rig.store.transaction() as connection:
        connection.exec_driver_sql("ANALYZE")
        rows = connection.exec_driver_sql("SELECT rowid, stat FROM sqlite_stat1").all()
        for rowid, stat in rows:
            count, *averages = (int(each) for each in stat.split() if each.isdigit())
            # what is shared by many rows is shared by more; what is the key of few stays so
            grown = [each if each <= max(count // 20, 1) else each * TIMES for each in averages]
            text = " ".join(str(each) for each in (count * TIMES, *grown))
            connection.exec_driver_sql("UPDATE sqlite_stat1 SET stat = ? WHERE rowid = ?", (text, rowid))
    rig.store.close()
    rig.readers.close()
    return path


class Heard:
    """Every statement that was sent to a database, with the first values it was sent with."""

    def __init__(self, path):
        self.path, self.statements = str(path), {}

    def __enter__(self):
        event.listen(Engine, "before_cursor_execute", self._hear)
        return self

    def __exit__(self, *_exc):
        event.remove(Engine, "before_cursor_execute", self._hear)

    def _hear(self, connection, _cursor, statement, parameters, _context, executemany):
        if self.path in str(connection.engine.url) and statement.split()[0] in {"SELECT", "UPDATE", "DELETE", "WITH"}:
            values = parameters[0] if executemany else parameters
            self.statements.setdefault(re.sub(r"\?(?:, \?)+", "?…", statement), (statement, values))

    def scans(self):
        """(statement, step of its plan) of each that reads a large table from end to end."""
        database = sqlite3.connect(self.path)
        partial = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE sql LIKE '% WHERE %'")}
        found = []
        for statement, values in self.statements.values():
            plan = database.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            for _number, above, _unused, step in plan:
                beside = [each[3] for each in plan if each[1] == above]  # steps of the same SELECT
                if is_scan(step, beside, statement, partial):
                    found.append((statement, step))
        database.close()
        return found


def is_scan(step, beside, statement, partial):
    """Whether a step reads all of a large table.

    In the order of its key or of an index, up to a LIMIT, it does not: unless rows are left out that are looked at. A
    partial index has only those that are meant.
    """
    read = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
    names = {alias: name for name, alias in re.findall(r"(\w+) AS (\w+)", statement)}
    if read is None or names.get(read[1], read[1]) not in LARGE or any(each in statement for each in ALLOWED):
        return False
    statement = statement.replace("WHERE 1 = 1", "")
    mine = re.search(rf"FROM (?:\w+ AS )?{read[1]}\b(.*?)\bLIMIT\b", statement, re.DOTALL)
    sorts = any("TEMP B-TREE" in each for each in beside)
    return mine is None or sorts or ("WHERE" in mine[1] and read[2] not in partial)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """(what was heard, the walks) of an administrator, and of somebody who sees two stations."""
    with WebRig(tmp_path_factory.mktemp("site")) as rig:
        fill(rig)
        path = pretend_large(rig)
        with rig.store.transaction() as connection:
            frame = connection.scalar(select(frames.c.pk).limit(1))
        samples = SAMPLES | {"pk": (frame,), "frame_pk": (frame,)}
        with Heard(path) as heard:
            walks = [
                Walk(rig.client("admin", raise_server_exceptions=False), samples),
                Walk(rig.client("reviewer", stations=["cam-01", "cam-02"], raise_server_exceptions=False), samples),
            ]
            walks[0].all_routes()
            walks[0].links(post="/review")
            walks[1].all_routes()
            settle(rig)
        yield heard, walks


def test_no_query_of_the_page_reads_a_large_table_from_end_to_end(walked):
    heard, _walks = walked

    found = heard.scans()

    assert len(heard.statements) > 50
    assert not found, "\n\n".join(f"{step}\n  {statement}" for statement, step in found)


def test_the_walk_reaches_the_pages_and_their_answers(walked):
    _heard, (walk, _other) = walked

    assert {"/", "/review", "/review/{pk}", "/species", "/species/{taxon}"} <= {path for _get, path in walk.reached}
    assert ("POST", "/review/answer") in walk.reached
    assert walk.failed == []


def test_a_scan_would_be_noticed(tmp_path):
    with WebRig(tmp_path) as rig:
        fill(rig)
        path = pretend_large(rig)
        with Heard(path) as heard, rig.readers.read() as connection:
            connection.execute(select(observations.c.pk).where(observations.c.score > 0.5)).all()
            connection.execute(select(frames.c.pk).where(frames.c.station == "cam-01").limit(3)).all()

        assert [step for _statement, step in heard.scans()] == ["SCAN observations"]
