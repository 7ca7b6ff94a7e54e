"""`tigrillo run SITE.yaml` with the two stand-ins of stand_in.py: `python server.py SITE.yaml [PLUGIN…]`.

Of the real plugins only the source `mqtt` and those that are named are loaded.
"""

import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from edge.clock import SystemClock  # because the stand-ins' folder is set first
from edge.config import load_plan
from edge.logs import make_log
from edge.registry import GROUP, load_registry
from edge.running import run_site

NEEDED = ("mqtt", *sys.argv[2:])

if __name__ == "__main__":
    found = [point for point in entry_points(group=GROUP) if point.name in NEEDED]
    registry = load_registry([*found, EntryPoint("stand-in", "stand_in", GROUP)])
    plan = load_plan(Path(sys.argv[1]), registry)
    run_site(plan, registry, log=make_log(json_lines=True, level="info"), clock=SystemClock())
