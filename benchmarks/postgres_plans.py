"""Which statements of the page read most rows on PostgreSQL, by its own plans?

Usage: python benchmarks/postgres_plans.py [--observations N] [--shown N]

A year of 200 stations is seeded as for web.py and summed up, PostgreSQL makes its statistics, and an administrator and
somebody of two stations walk over every page, filter and form as tests/parts/test_query_plans.py does. Each statement
is then explained with the values it had: rows that were looked at for the worst of up to four of its calls, time, step.
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kit import SHARED_MEDIA, machine
from sqlalchemy import Engine, create_engine, event, select
from web_kit.seed import House, fill

from edge.store.schema import frames

REPO = Path(__file__).resolve().parents[1]
CALLS = 4  # of a statement that are explained
VALUES = re.compile(r"%\(\w+\)s(?:::\w+(?: WITHOUT TIME ZONE)?)?(?:, %\(\w+\)s(?:::\w+(?: WITHOUT TIME ZONE)?)?)+")


class Read(NamedTuple):
    """What a statement's largest step looked at."""

    rows: int
    ms: float
    step: str
    statement: str


class Heard:
    """Statements that were sent, without regard to how many values a list had, each with some calls."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[str, Any]]] = {}

    def hear(self, _connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        """Listen to SQLAlchemy."""
        if statement.split(maxsplit=1)[0] in {"SELECT", "WITH", "UPDATE", "DELETE"}:
            known = self.calls.setdefault(VALUES.sub("…", statement), [])
            if len(known) < CALLS:
                known.append((statement, values[0] if many else values))


def steps(node: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """(rows looked at, what it is) of each step that reads a table."""
    if table := node.get("Relation Name"):
        looked = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        yield int(looked * node["Actual Loops"]), f"{node['Node Type']} {table} {node.get('Index Name', '')}".strip()
    for each in node.get("Plans", ()):
        yield from steps(each)


def explained(engine: Engine, heard: Heard) -> list[Read]:
    """All statements, those that read most first; what they would change is taken back."""
    found = []
    for calls in heard.calls.values():
        worst = Read(0, 0.0, "", calls[0][0])
        for statement, values in calls:
            with engine.connect() as connection:
                begun = connection.begin()
                said = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).scalar_one()
                begun.rollback()
            rows, step = max(steps(said[0]["Plan"]), default=(0, ""))
            worst = max(worst, Read(rows, said[0]["Execution Time"], step, statement), key=lambda each: each.rows)
        found.append(worst)
    return sorted(found, reverse=True)


def main() -> None:
    """Seed, walk, explain, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=int, default=200_000)
    parser.add_argument("--shown", type=int, default=20)
    asked = parser.parse_args()
    sys.path.insert(0, str(REPO))
    # ruff: noqa: PLC0415  # because the tests' rigs lie beside this folder, which is not on the path before
    from tests.page_walk import Walk
    from tests.parts.test_query_plans import SAMPLES, settle
    from tests.postgres_rig import programs, serving
    from tests.web_rig import NOW, SITE, WebRig

    programs_at = programs()
    if programs_at is None:
        raise SystemExit("PostgreSQL is missing: apt install postgresql-15")
    print(machine("sqlalchemy"), flush=True)
    folder, heard = Path(tempfile.mkdtemp(prefix="tigrillo-plans-")), Heard()
    try:
        with serving(programs_at) as server:
            url = server.emptied()
            site = f"{SITE}database: {server.address('site', driver='')}\n"
            with WebRig(folder, site) as rig:
                began = time.monotonic()
                shown = sorted((SHARED_MEDIA / "stills").glob("*.jpg"))[:4]
                fill(url, House(asked.observations, shown, NOW.replace(tzinfo=None)))
                settle(rig)
                server.run("ANALYZE", database="site")
                print(f"{asked.observations} observations, summed up in {time.monotonic() - began:.0f} s", flush=True)
                with rig.store.transaction() as connection:
                    frame, station = connection.execute(select(frames.c.pk, frames.c.station).limit(1)).one()
                samples = SAMPLES | {
                    "pk": (frame,),
                    "frame_pk": (frame,),
                    "station": (station,),
                    "name": (station, "u"),
                }
                event.listen(Engine, "before_cursor_execute", heard.hear)
                everywhere = Walk(rig.client("admin", raise_server_exceptions=False), samples)
                everywhere.all_routes()
                everywhere.links(post="/review")
                Walk(rig.client("reviewer", stations=["cam-000", station]), samples).all_routes()
                event.remove(Engine, "before_cursor_execute", heard.hear)
            found = explained(create_engine(url), heard)
        print(f"{len(found)} statements; {sum(each.rows > 1_000 for each in found)} look at more than 1000 rows")
        for each in found[: asked.shown]:
            print(f"{each.rows:8} rows {each.ms:7.1f} ms  {each.step}\n    {' '.join(each.statement.split())[:200]}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
